"""Sides of a benchmark, in processes of their own that take turns on the same cores.

A script calls `take_turns`, which starts it again with `--side NAME` for each side;
that process calls `serve` with what it can be told to do.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

KINDS = "wall", "cpu"
Seconds = dict[str, dict[str, list[float]]]  # of every turn, by side and kind


def pin(threads: int) -> None:
    """Keep this process to so many of its cores (Linux only)."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def clock() -> tuple[float, float]:
    """Wall seconds, and those of all this process's threads on their cores."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return tuple(now - then for now, then in zip(clock(), start, strict=True))


def serve(tasks: Mapping[str, Callable[[], None]], facts: Mapping) -> None:
    """Warm up, print `facts`, then do every task that is asked for, and time it."""
    for task in tasks.values():
        task()
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        start = clock()
        tasks[line.strip()]()
        print(json.dumps(since(start)), flush=True)


def take_turns(
    pythons: Mapping[str, str],
    tasks: Iterable[str],
    repeats: int,
    *,
    threads: int = 1,
    arguments: Iterable[str] = (),
) -> tuple[dict[str, Seconds], dict[str, dict]]:
    """Seconds of each task's turns, and each side's facts; `pythons` run the sides.

    Every side gets this script's arguments and then further `arguments`.
    """
    tasks, workers, facts = list(tasks), {}, {}
    # One pool of threads for each process: a library's own threading is compared.
    env = os.environ | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(threads)}
    pipe = subprocess.PIPE
    for side, python in pythons.items():
        command = [python, *sys.argv, "--side", side, *arguments]
        worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        line = worker.stdout.readline()
        if not line:
            sys.exit(f"The process of {side} ended at once; its message is above.")
        workers[side], facts[side] = worker, json.loads(line)
    seconds = {
        task: {side: {kind: [] for kind in KINDS} for side in pythons} for task in tasks
    }
    for _ in range(repeats):
        for task in tasks:
            for side, worker in workers.items():
                print(task, file=worker.stdin, flush=True)
                spent = json.loads(worker.stdout.readline())
                for kind, value in zip(KINDS, spent, strict=True):
                    seconds[task][side][kind].append(value)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return seconds, facts


def parser(doc: str, sides=None, *, peer="--peer-python", repeats):
    """The command line that benchmarks have in common."""
    made = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    made.add_argument(peer, default=sys.executable, help="an interpreter with the peer")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--repeats", type=int, default=repeats)
    made.add_argument("--json", type=Path, help="write the figures to this file")
    made.add_argument("--side", choices=sides, help=argparse.SUPPRESS)
    return made


def require(python: str, modules: str, flag: str) -> None:
    """Leave with a sentence unless the `python` that a flag names can import these."""
    probe = [python, "-c", f"import {modules}"]
    if subprocess.run(probe, capture_output=True).returncode:
        sys.exit(
            f"{python} cannot import {modules}: install benchmarks/requirements.txt "
            f"there, or name another interpreter with {flag}."
        )


def save(result: Mapping, path: Path | None) -> None:
    """Write the figures to the file that --json names, if it does."""
    if path:
        path.write_text(json.dumps(result, indent=1))


def in_units(seconds: Seconds, unit: float) -> Seconds:
    """The same in units of so many seconds."""
    return {
        side: {kind: [value / unit for value in values[kind]] for kind in KINDS}
        for side, values in seconds.items()
    }


def fastest(sides: Iterable[str], times: Seconds, kind: str = "cpu") -> str:
    """The side with the least median."""
    return min(sides, key=lambda side: statistics.median(times[side][kind]))


def ratios(times: Seconds, one: str, other: str, kind: str = "cpu") -> list[float]:
    """What `one` takes of what `other` does, turn by turn."""
    turns = zip(times[one][kind], times[other][kind], strict=True)
    return [mine / theirs for mine, theirs in turns]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median (least-most)."""
    numbers = statistics.median(values), min(values), max(values)
    return "{:.{d}f} ({:.{d}f}-{:.{d}f})".format(*numbers, d=digits)
