"""CPU seconds of a training step of a config: what turns a budget into steps.

Compiles the dispatch that a run makes, does a few steps, and times further ones by the
clock of the process, which counts the seconds of all its threads. Other programs on the
cores change it far less than the time on the wall::

    python -m benchmarks.step_seconds configs/images_table.py:glow --seconds=20 \
        --set data.source=manual --set data.manual_dir=DIR
"""

import argparse
import importlib.util
import json
import statistics
import time

import jax
import numpy as np

from experiments import make_experiment
from nfml_jax.training.devices import find_devices
from nfml_jax.training.settings import RunSettings
from nfml_jax.training.setup import Setup

# Steps before those that are timed, and the number of timed dispatches at least.
WARM, LEAST = 5, 3


def read(name: str, changes: list[str]) -> dict:
    """Return the config of `FILE:ARGUMENT` with `SECTION.FIELD=VALUE` changed."""
    file, _, argument = name.partition(":")
    spec = importlib.util.spec_from_file_location("config", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(argument or None)
    for change in changes:
        field, _, text = change.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        config.update_from_flattened_dict({field: value})
    return config.to_dict()


def measure(config: dict, seconds: float) -> dict:
    """Return the CPU seconds of a step, in dispatches for `seconds` of CPU time."""
    setup = Setup(make_experiment, config, find_devices(RunSettings.of(config)))
    began = time.process_time()
    state, dispatch, step = setup.state(), setup.dispatch(), 0

    def run(count):
        nonlocal state, step
        start = time.process_time(), time.perf_counter()
        state, metrics = dispatch(state, np.int32(count), *setup.data(step))
        jax.block_until_ready((state, metrics))
        step += count
        return (time.process_time() - start[0]) / count, time.perf_counter() - start[1]

    run(1)
    compiled = time.process_time() - began
    first, _ = run(WARM)
    most = config["train"]["steps_per_dispatch"]
    count = int(np.clip(seconds / LEAST / first, 1, most))
    began, found = time.process_time(), []
    while len(found) < LEAST or time.process_time() - began < seconds:
        found.append(run(count))
    cpu, wall = zip(*found, strict=True)
    return {
        "parameters": sum(x.size for x in jax.tree.leaves(state.params)),
        "compile_cpu_s": round(compiled, 1),
        "steps": step,
        "cpu_s_a_step": round(statistics.mean(cpu), 4),
        "least": round(min(cpu), 4),
        "wall_s_a_step": round(sum(wall) / count / len(wall), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="+", help="FILE:ARGUMENT")
    parser.add_argument("--seconds", type=float, default=20.0, help="of CPU time")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE")
    args = parser.parse_args()
    for name in args.config:
        config = read(name, args.set)
        print(name, json.dumps(measure(config, args.seconds)), flush=True)


if __name__ == "__main__":
    main()
