"""CPU milliseconds of a draw from trained flows of images, and of its density.

The runs' flows are compiled first; then each task is done again with another seed, and
the clock counts the CPU seconds of all threads of the process::

    python -m benchmarks.image_draws RUN... --json=FILE
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from nfml_jax import load
from nfml_jax.loading import config_of

REPEATS = 3


def milliseconds(task, n: int) -> float:
    """Return the least CPU milliseconds of `task(seed)` for each of `n` images."""
    task(0)  # compiles
    found = []
    for seed in range(1, REPEATS + 1):
        began = time.process_time()
        task(seed)
        found.append(time.process_time() - began)
    return round(1000 * min(found) / n, 3)


def measure(run: Path, n: int) -> dict:
    """Return the costs of `n` images in one call of a run's flow, for each image."""
    flow, images = load(run), None

    def draw(seed):
        nonlocal images
        images = flow.sample(seed, n)

    drawn = milliseconds(draw, n)
    return {
        "name": config_of(run)["name"],
        "data": config_of(run)["data"]["name"],
        "images": n,
        "draw_cpu_ms": drawn,
        "density_cpu_ms": milliseconds(
            lambda seed: flow.log_prob(np.asarray(images), seed=seed), n
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=64, help="images in one call")
    parser.add_argument("--json", type=Path, help="a file for the records")
    args = parser.parse_args()
    records = [measure(run, args.n) for run in args.runs]
    print("| run | data | a draw, CPU ms | a density, CPU ms |\n|---|---|--:|--:|")
    for r in records:
        cells = r["name"], r["data"], r["draw_cpu_ms"], r["density_cpu_ms"]
        print(f"| {' | '.join(map(str, cells))} |")
    if args.json:
        args.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
