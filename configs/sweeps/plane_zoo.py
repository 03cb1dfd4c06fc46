"""Every recipe for the plane on every density of it, all with the same budget.

circular_nsf is left out: its events are angles, and these densities aren't periodic.

    python launch.py --config=configs/plane.py --sweep=configs/sweeps/plane_zoo.py
    python launch.py --config=configs/plane.py --sweep=configs/sweeps/plane_zoo.py:rates

A run takes 8 to 31 CPU seconds on one core, one of ffjord 46 to 95, all of them
an hour; the README's table has the results of three seeds (`--config.seed=1`).
"""

from functools import partial

from nfml_jax.ops.names import look_up
from nfml_jax.sweeps.overrides import chain, param, product, zip_
from nfml_jax.synthetic.plane import DENSITIES

NETS = {"hidden": (64, 64)}
SPLINES = {"recipe": "rq_nsf", "hidden": 32, "blocks": 1, "bins": 8, "bound": 3.0}

# Family -> the name in the table -> the config's whole section "flow".
FAMILIES = {
    "splines": {
        "rq_nsf coupling": {"layers": 4, **SPLINES},
        "rq_nsf autoregressive": {"layers": 3, "kind": "autoregressive", **SPLINES},
    },
    "affine": {
        "realnvp": {"recipe": "realnvp", "layers": 8, **NETS},
        "nice": {"recipe": "nice", "layers": 8, **NETS},
        "maf": {"recipe": "maf", "layers": 5, **NETS},
        "iaf": {"recipe": "iaf", "layers": 5, **NETS},
    },
    "blocks": {"bnaf": {"recipe": "bnaf", "layers": 2, "hidden": 16, "depth": 2}},
    "residual": {"residual": {"recipe": "residual", "layers": 8, "hidden": (32, 32)}},
    "networks": {
        "naf": {"recipe": "naf", "layers": 2, **NETS},
        "umnn": {"recipe": "umnn", "layers": 2, "nodes": 17, **NETS},
        "flowpp": {"recipe": "flowpp", "layers": 4, "hidden": 32, "blocks": 1},
    },
    "polynomials": {
        "sos": {"recipe": "sos", "layers": 3, **NETS},
        "bernstein": {"recipe": "bernstein", "layers": 3, **NETS},
    },
    "marginals": {
        "gaussianization": {"recipe": "gaussianization", "layers": 6},
        "independent": {"recipe": "independent", "bins": 16},
    },
    # Recipes made for variational inference, inverted to learn from data.
    "vectors": {
        "planar": {"recipe": "planar", "layers": 16, "fast": "log_prob"},
        "sylvester": {"recipe": "sylvester", "layers": 8, "fast": "log_prob"},
    },
    "continuous": {"ffjord": {"recipe": "ffjord", "hidden": (32, 32), "rtol": 1e-3}},
}
# Learning rates: the best of GRID for the first member of each family, by validation on
# the pinwheel after 600 steps of 512 (residual and continuous flows: 400 steps of 256).
RATES = {
    "marginals": 3e-2,
    "affine": 1e-2,
    "splines": 3e-2,
    "networks": 3e-2,
    "polynomials": 1e-2,
    "blocks": 3e-2,
    "residual": 3e-2,
    "continuous": 3e-2,
    "vectors": 3e-2,
}
GRID = (1e-3, 3e-3, 1e-2, 3e-2)


def get_sweep(arg="all"):
    """Return the whole zoo, a family, or "rates", which chooses those by validation."""
    families = {
        family: zip_(param("name", *members), param("flow", *members.values()))
        for family, members in FAMILIES.items()
    }
    rate = partial(param, "optimizer.learning_rate")
    if arg == "rates":
        pilot = product(
            param("data.name", "pinwheel"), param("train.total", "600 steps")
        )
        firsts = [trials[0] for trials in families.values()]
        return product(firsts, rate(*GRID), pilot)
    if arg != "all":
        families = {arg: look_up(families, arg, "family of flows")}
    rated = [product(trials, rate(RATES[f])) for f, trials in families.items()]
    return product(chain(*rated), param("data.name", *DENSITIES))
