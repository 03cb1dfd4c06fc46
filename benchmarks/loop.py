"""The overhead of the training loop over the steps themselves.

Each repeat runs the same steps twice: bare, one dispatch after another; and through the
training loop with its log, TensorBoard, a checkpoint and progress. In both, a first
block of steps includes compilation and a second one is timed.

On a shared machine either time varies by more than the overhead. The share of CPU
seconds in threads other than those that run the steps does not, and is reported too.
Linux only, as it reads /proc.

    python -m benchmarks.loop --steps=256 --repeats=7
"""

import contextlib
import importlib
import io
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from benchmarks.harness import KINDS, parser, record, save
from experiments import make_experiment
from nfml_jax.training.experiment import Report
from nfml_jax.training.feeds import ResidentFeed
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.optimizers import make_optimizer
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.schedules import make_schedule
from nfml_jax.training.settings import OptimizerSettings
from nfml_jax.training.sharding import make_mesh, replicate
from nfml_jax.training.step import init_state, make_dispatch, make_step

# The name of XLA's threads for the arithmetic of a step.
DEVICE_THREADS = "tf_XLAEigen"


def clocks() -> np.ndarray:
    """Return seconds: wall, CPU of all threads, CPU of threads other than XLA's."""
    host = 0.0
    for stat in Path("/proc/self/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError):
            name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
            if name != DEVICE_THREADS:
                host += sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return np.array([time.perf_counter(), time.process_time(), host])


def bare(experiment, config, steps: int) -> np.ndarray:
    """Return the seconds, as `clocks`, of `steps` steps in dispatches back to back."""
    settings = config["train"]
    mesh, key = make_mesh(), root_key(0)
    most = settings["steps_per_dispatch"]
    feed = ResidentFeed(
        experiment.train_arrays, settings["batch_size"], key, mesh, ahead=most
    )
    schedule = make_schedule("cosine", 1e-3, steps=2 * steps)
    optimizer = make_optimizer(schedule, OptimizerSettings())
    variables = jax.jit(experiment.init)(purpose_key(key, "init"))
    state = replicate(init_state(variables, optimizer, average=False), mesh)
    step = make_step(experiment.loss, optimizer, key=key)
    dispatch = make_dispatch(step, feed.take, mesh, most)
    ends = []
    for block in range(2):
        for start in range(block * steps, (block + 1) * steps, most):
            chunk = feed.chunk(start)
            state, _ = dispatch(state, np.int32(most), chunk, feed.resident)
        jax.block_until_ready(state)
        ends.append(clocks())
    return ends[1] - ends[0]


def through_the_loop(experiment, config, steps: int) -> np.ndarray:
    """Return the seconds between the loop's first two validations, which are empty."""
    ends = []

    def validate(variables, apply):
        ends.append(clocks())
        return Report()

    experiment.validate = validate
    experiment.report = lambda variables, apply: Report()
    config["train"] |= {
        "total": f"{2 * steps} steps",
        "evaluate_every": f"{steps} steps",
        "checkpoint_every": f"{steps} steps",
    }
    silence = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, silence:
        outcome = train_and_evaluate(lambda _: experiment, config, folder)
    assert outcome.status == "done", outcome
    return ends[1] - ends[0]


def main():
    arguments = parser(__doc__, repeats=7)
    arguments.set_defaults(threads=len(os.sched_getaffinity(0)))
    arguments.set_defaults(platform=jax.default_backend())
    arguments.add_argument("--config", default="arcface_mnist")
    arguments.add_argument("--steps", type=int, default=256)
    options = arguments.parse_args()
    config = importlib.import_module(f"configs.{options.config}").get_config().to_dict()
    most = config["train"]["steps_per_dispatch"]
    steps = -(-options.steps // most) * most
    experiment = make_experiment(config)
    ways, repeats = {"bare steps": bare, "the loop": through_the_loop}, []
    for _ in range(options.repeats):
        repeats.append(
            {way: run(experiment, config, steps) for way, run in ways.items()}
        )
        for way, seconds in repeats[-1].items():
            wall, cpu, host = 1e3 * seconds / steps
            print(
                f"{way}: {wall:.2f} ms wall, {cpu:.2f} ms CPU a step, "
                f"{host:.2f} of it outside XLA's threads",
                flush=True,
            )
    shares = [100 * times["the loop"][2] / times["the loop"][1] for times in repeats]
    relative = np.array([times["the loop"] / times["bare steps"] for times in repeats])
    wall, cpu, _ = (100 * (relative - 1)).T
    summary = {
        "config": options.config,
        "data": experiment.data()["name"],
        "steps": steps,
        "overhead_wall_percent": [round(x, 1) for x in wall],
        "overhead_cpu_percent": [round(x, 1) for x in cpu],
        "host_cpu_percent": [round(x, 1) for x in shares],
        "median_wall_percent": round(statistics.median(wall), 1),
        "median_cpu_percent": round(statistics.median(cpu), 1),
    }
    facts, timings = {"version": f"jax {jax.__version__}"}, {}
    facts |= {"compile": None, "memory": None, "value": None}
    for way in ways:
        seconds = np.array([times[way][: len(KINDS)] / steps for times in repeats]).T
        timings[way] = facts | dict(zip(KINDS, seconds.tolist(), strict=True))
    made = record("loop", "a step", "the loop", timings, options, **summary)
    print(json.dumps({"device": made["device"], **summary}))
    save([made], options.json)


if __name__ == "__main__":
    main()
