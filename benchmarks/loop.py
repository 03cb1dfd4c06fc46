"""What the training loop costs beside the steps themselves.

Runs the same compiled dispatches twice: bare, one after the other and awaited at the
end; and through the training loop with its log, TensorBoard, checkpoints and progress.

    python -m benchmarks.loop --steps=600 --repeats=3
"""

import argparse
import importlib
import json
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from experiments import make_experiment
from nfml_jax.training.feeds import ResidentFeed
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.optimizers import make_optimizer, make_schedule
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.sharding import make_mesh, replicate
from nfml_jax.training.step import init_state, make_dispatch, make_step
from nfml_jax.training.writers import read_metrics

WARM_UP = 50  # steps: compilation, and the first line of the log


def bare_seconds(experiment, config, steps: int) -> float:
    """Seconds a step, dispatches back to back."""
    settings = config["train"]
    mesh, key = make_mesh(), root_key(0)
    most = settings["steps_per_dispatch"]
    feed = ResidentFeed(
        experiment.train_arrays, settings["batch_size"], key, mesh, ahead=most
    )
    optimizer = make_optimizer(make_schedule("cosine", 1e-3, steps=steps + WARM_UP))
    variables = experiment.init(purpose_key(key, "init"))
    state = replicate(init_state(variables, optimizer, average=False), mesh)
    step = make_step(experiment.loss, optimizer, key=key)
    dispatch = make_dispatch(step, feed.take, mesh, most)
    done, started = 0, None
    while done < WARM_UP + steps:
        if done >= WARM_UP and started is None:
            jax.block_until_ready(state)
            started, first = time.perf_counter(), done
        state, _ = dispatch(state, np.int32(most), feed.chunk(done), feed.resident)
        done += most
    jax.block_until_ready(state)
    return (time.perf_counter() - started) / (done - first)


def loop_seconds(experiment, config, steps: int) -> float:
    """Seconds a step between the loop's own first and last lines of the log."""
    with tempfile.TemporaryDirectory() as folder:
        train_and_evaluate(lambda _: experiment, config, folder)
        lines = [
            (line["step"], line["time"])
            for line in read_metrics(Path(folder) / "metrics.jsonl")
            if "train/loss" in line
        ]
    (first, began), (last, ended) = lines[0], lines[-1]
    return (ended - began) / (last - first)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="arcface_mnist")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    config = importlib.import_module(f"configs.{options.config}").get_config().to_dict()
    config["train"] |= {
        "total": f"{WARM_UP + options.steps} steps",
        "evaluate_every": "never",
    }
    experiment = make_experiment(config)
    ratios = []
    for _ in range(options.repeats):
        bare = bare_seconds(experiment, config, options.steps)
        loop = loop_seconds(experiment, config, options.steps)
        ratios.append(loop / bare)
        print(f"bare {1e3 * bare:.2f} ms a step, loop {1e3 * loop:.2f} ms", flush=True)
    summary = {
        "config": options.config,
        "data": experiment.data()["name"],
        "overhead_percent": [round(100 * (r - 1), 2) for r in ratios],
        "median_percent": round(100 * (statistics.median(ratios) - 1), 2),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
