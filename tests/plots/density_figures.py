"""Cases of the figures of densities, for the laws in test_plots.py."""

import numpy as np

from nfml_jax.plots import grid_points, limits_around
from nfml_jax.synthetic.plane import DENSITIES, draw

MOONS, RINGS = (draw(name, "test", 500) for name in ("moons", "rings"))
LIMITS = limits_around(MOONS)
WIDE = ((-30.0, 30.0), (0.0, 1.0))
RNG = np.random.default_rng(0)
MANY = RNG.normal(size=(300, 20))


def log_probs(name="moons", limits=LIMITS, size=20):
    return DENSITIES[name].log_prob(grid_points(limits, size)).reshape(size, size)


ROW = {"moons": log_probs(), "banana": log_probs("banana")}
BOTH = dict.fromkeys(ROW, LIMITS)

DENSITY_FIGURES = {
    "samples_2d": {
        "one": lambda f: f(MOONS, "Moons"),
        "several": lambda f: f({"data": MOONS, "flow": RINGS, "other": MOONS[:1]}),
        "one point": lambda f: f(np.ones((1, 2))),
        "none": lambda f: f(np.zeros((0, 2))),
        "flat": lambda f: f(MOONS * [1, 1e-3]),
        "diverged": lambda f: f(np.array([[0.0, 1.0], [np.nan, np.inf]])),
    },
    "joint": {
        "usual": lambda f: f(MOONS, RINGS, "Moons"),
        "one point": lambda f: f(MOONS, RINGS[:1]),
    },
    "marginals": {
        "data": lambda f: f(MOONS),
        "both": lambda f: f(MOONS, RINGS, ["x", "y"], "Marginals"),
        "many columns": lambda f: f(MANY, MANY / 2),
        "one constant column": lambda f: f(np.ones((5, 1))),
    },
    "density_map": {
        "usual": lambda f: f(log_probs(), LIMITS, MOONS, "Moons"),
        "wide": lambda f: f(log_probs(limits=WIDE), WIDE),
        "nowhere": lambda f: f(np.full((9, 9), -np.inf), LIMITS),
    },
    "density_gallery": {
        "usual": lambda f: f({"truth": ROW, "a long recipe": ROW}, BOTH, "Zoo"),
        "one missing": lambda f: f({"a": ROW, "b": {"moons": ROW["moons"]}}, BOTH),
        "one": lambda f: f({"a": {"moons": ROW["moons"]}}, BOTH),
        "rows share": lambda f: f({"moons": ROW}, BOTH, rows_share=True, side=3.0),
    },
}
