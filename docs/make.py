"""Draw the density that each recipe learns: `python docs/make.py [NAME ...]`.

It trains the recipes of configs/sweeps/plane_zoo.py on one density of the plane, with
the learning rates chosen there, and writes docs/img/flows/NAME.png. A picture shows the
density on a grid, in the colors of the true one, `truth.png`. All take ten minutes of
CPU time, so the pictures are kept beside the pages and made again by hand.
"""

import math
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from configs.sweeps.plane_zoo import FAMILIES, RATES  # noqa: E402
from nfml_jax import flows, plots  # noqa: E402
from nfml_jax.synthetic import DENSITIES, draw  # noqa: E402
from nfml_jax.training import fit  # noqa: E402

DENSITY, LIMITS, SIDE = "pinwheel", ((-4.0, 4.0), (-4.0, 4.0)), 200
STEPS, BATCH, POINTS = 1000, 256, 50_000
# The square of `LIMITS` is the torus of this recipe, whose events are angles. The rate
# of other splines, 3e-2, is too high for it.
CIRCULAR_RATE = 3e-3
ANGLES = {"recipe": "circular_nsf", "layers": 4, "hidden": 32, "blocks": 1, "bins": 8}
CIRCULAR = {"circular": {"circular_nsf": ANGLES}}
FOLDER = ROOT / "docs/img/flows"


def scaled(points, turn: float):
    """Return points times `turn`, as angles unless it is 1."""
    points = turn * jnp.asarray(points)
    if turn == 1.0:
        return points
    return jnp.remainder(points + math.pi, 2 * math.pi) - math.pi


def fit_flow(flow, rate: float, turn: float):
    """Return the variables of a flow after `STEPS` steps on points times `turn`."""
    data = scaled(draw(DENSITY, "train", POINTS), turn)
    variables = flow.init(jax.random.key(0), data[:BATCH])
    params = variables.pop("params")
    schedule = optax.cosine_decay_schedule(rate, STEPS)
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(schedule))

    def loss(params, key):
        x = data[jax.random.randint(key, (BATCH,), 0, POINTS)]
        return -flow.apply(variables | {"params": params}, x).mean()

    params, _ = fit(loss, params, optimizer, STEPS, jax.random.key(1))
    return variables | {"params": params}


def save(name: str, log_probs, top: float) -> None:
    """Write a heat map; `top` is the density of the brightest color."""
    density = np.exp(np.asarray(log_probs, np.float64)).reshape(SIDE, SIDE)[::-1]
    rgba = matplotlib.colormaps["viridis"](np.clip(density / top, 0, 1))
    pixels = (255 * rgba[..., :3]).astype(np.uint8)
    Image.fromarray(pixels).quantize(64).save(FOLDER / f"{name}.png", optimize=True)


def main(chosen: list[str]) -> None:
    """Draw the truth and the chosen recipes, or all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    grid = plots.grid_points(LIMITS, SIDE)
    truth = np.asarray(DENSITIES[DENSITY].log_prob(grid))
    top = float(np.quantile(np.exp(truth), 0.995))
    save("truth", truth, top)
    for family, members in (FAMILIES | CIRCULAR).items():
        for options in members.values():
            options = dict(options)
            name = options.pop("recipe")
            if (chosen and name not in chosen) or options.get("kind"):
                continue  # the couplings of a spline flow stand for both kinds
            turn = math.pi / LIMITS[0][1] if family in CIRCULAR else 1.0
            flow = flows.make_flow(name, 2, **options)
            variables = fit_flow(flow, RATES.get(family, CIRCULAR_RATE), turn)

            apply = jax.jit(flow.apply)

            def log_prob(points, turn=turn, apply=apply, variables=variables):
                inside = apply(variables, scaled(points, turn))
                return inside + 2 * math.log(turn)

            save(name, log_prob(grid), top)
            test = draw(DENSITY, "test", 5000)
            gap = np.mean(DENSITIES[DENSITY].log_prob(test) - log_prob(test))
            print(f"{name}: {gap:.3f} nats from the truth", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
