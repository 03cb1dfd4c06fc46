"""Sides of a benchmark, in processes of their own that take turns on the same cores.

A script calls `take_turns`, which starts it again with `--side NAME` for each side;
that process calls `serve` with what it can be told to do. Of every case a `record` is
made, the same for all benchmarks, which --json writes:

case, unit: what was timed, and the work that all seconds are of;
ours, peer: this project's side, and the fastest of the others or None;
device, threads, python;
sides: of each its version; wall and cpu, the seconds of every turn; compile, seconds to
    trace and to compile, or None; memory, the most bytes that the first run added to
    the process, or None; value, what that run gave; and what else the side tells.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

KINDS = "wall", "cpu"
Sides = dict[str, dict]  # by name, as in a record


def pin(threads: int) -> None:
    """Keep this process to so many of its cores (Linux only)."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def clock() -> tuple[float, float]:
    """Wall seconds, and those of all this process's threads on their cores."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return tuple(now - then for now, then in zip(clock(), start, strict=True))


def memory(field: str) -> int:
    """Bytes of this process: VmRSS that it holds, VmHWM that it held at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) * 1024


def compiled(program, *inputs):
    """A jitted function for such inputs, and seconds to trace and to compile it."""
    start = time.perf_counter()
    lowered = program.lower(*inputs)
    traced = time.perf_counter()
    ready = lowered.compile()
    return ready, (traced - start, time.perf_counter() - traced)


def torch_on(args: argparse.Namespace) -> Callable[[], None]:
    """Give PyTorch its threads and device; the result waits until that has finished."""
    import torch

    torch.set_num_threads(args.threads)
    if args.platform == "cpu":
        return lambda: None
    torch.set_default_device(args.platform)
    torch.set_float32_matmul_precision("high")  # as JAX multiplies on a GPU
    return torch.cuda.synchronize


def serve(
    tasks: Mapping[str, Callable], version: str, args, compile=None, **facts
) -> None:
    """Warm up and tell what that took, then do each task that is asked for, timed."""
    first = {}
    for name, task in tasks.items():
        before = _forget_peak() if args.platform == "cpu" else None
        value = task()
        first[name] = {
            "version": version,
            "compile": (compile or {}).get(name),
            "memory": None if before is None else memory("VmHWM") - before,
            "value": value,
            **facts,
        }
    print(json.dumps(first), flush=True)
    for line in sys.stdin:
        start = clock()
        tasks[line.strip()]()
        print(json.dumps(since(start)), flush=True)


def _forget_peak() -> int | None:
    """Bytes held, from which the peak counts anew; None where Linux is told not to."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return memory("VmRSS")


def take_turns(
    pythons: Mapping[str, str],
    tasks: Iterable[str],
    args: argparse.Namespace,
    arguments: Iterable[str] = (),
) -> dict[str, Sides]:
    """The sides of each task's record, whom `pythons` run, after so many repeats.

    Every side gets this script's arguments and then further `arguments`.
    """
    tasks, workers = list(tasks), {}
    sides = {task: {} for task in tasks}
    pipe, env = subprocess.PIPE, environment(args)
    for side, python in pythons.items():
        command = [python, *sys.argv, "--side", side, *arguments]
        worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        line = worker.stdout.readline()
        if not line:
            sys.exit(f"The process of {side} ended at once; its message is above.")
        workers[side], first = worker, json.loads(line)
        for task in tasks:
            sides[task][side] = first[task] | {kind: [] for kind in KINDS}
    for _ in range(args.repeats):
        for task in tasks:
            for side, worker in workers.items():
                print(task, file=worker.stdin, flush=True)
                spent = json.loads(worker.stdout.readline())
                for kind, seconds in zip(KINDS, spent, strict=True):
                    sides[task][side][kind].append(seconds)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return sides


def environment(args: argparse.Namespace) -> dict[str, str]:
    """What a side's process is to find around it.

    One pool of threads for each process: a library's own threading is compared.
    """
    threads = str(args.threads)
    return os.environ | {"JAX_PLATFORMS": args.platform, "OMP_NUM_THREADS": threads}


def parser(doc: str, sides: Iterable[str] = (), *, repeats: int, threads: int = 2):
    """The command line that benchmarks share; a short one where there are no sides."""
    made = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    made.add_argument("--repeats", type=int, default=repeats, help="turns")
    made.add_argument("--json", type=Path, help="write the records to this file")
    if sides:
        peers = {"default": sys.executable, "help": "an interpreter with the peers"}
        made.add_argument("--peer-python", **peers)
        made.add_argument("--threads", type=int, default=threads)
        made.add_argument("--platform", default="cpu", choices=("cpu", "cuda"))
        made.add_argument("--side", choices=list(sides), help=argparse.SUPPRESS)
    return made


def can_import(python: str, modules: str) -> bool:
    """Whether an interpreter finds these modules, with commas between them."""
    probe = [python, "-c", f"import {modules}"]
    try:
        return not subprocess.run(probe, capture_output=True).returncode
    except OSError:
        return False


def require(python: str, modules: str) -> None:
    """Leave with a sentence unless the --peer-python can import these."""
    if not can_import(python, modules):
        sys.exit(
            f"{python} cannot import {modules}: install a file of "
            "benchmarks/peers there, or name another interpreter with --peer-python."
        )


def device(platform_name: str) -> str:
    """A short name of what computes: "cpu-amd-epyc-2-cores", or the kind of a GPU."""
    if platform_name == "cpu":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = (line.partition(":")[2] for line in lines if "model name" in line)
        cores = len(os.sched_getaffinity(0))
        name = f"cpu {next(models, platform.machine())} {cores} cores"
    else:
        ask = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"]
        name = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    words = re.findall("[a-z0-9.]+", re.sub(r"\((r|tm)\)", " ", name.lower()))
    return "-".join(words)


def kinds(record: Mapping) -> tuple[str, ...]:
    """The kinds of seconds that mean something: on a GPU those of the CPU don't."""
    return KINDS if record["device"].startswith("cpu") else KINDS[:1]


def record(case: str, unit: str, ours: str, sides: Sides, args, **more) -> dict:
    """What was measured of a case (see above), with what `more` describes it."""
    made = {"case": case, "unit": unit, "ours": ours, "peer": None}
    made |= {"device": device(args.platform), "threads": args.threads}
    made |= {"python": platform.python_version(), **more, "sides": sides}
    peers = [side for side in sides if side != ours]
    if ours in sides and peers and args.repeats:
        made["peer"] = fastest(peers, sides, kinds(made)[-1])
    return made


def save(records: Sequence[Mapping], path: Path | None) -> None:
    """Write the records to the file that --json names, if it does."""
    if path:
        path.write_text(json.dumps(records, indent=1) + "\n")


def in_units(sides: Sides, unit: float) -> Sides:
    """The same with seconds of a unit, of which each turn did so many."""
    return {
        name: side | {kind: [spent / unit for spent in side[kind]] for kind in KINDS}
        for name, side in sides.items()
    }


def fastest(names: Iterable[str], sides: Sides, kind: str = "cpu") -> str:
    """The side with the least median."""
    return min(names, key=lambda name: statistics.median(sides[name][kind]))


def ratios(sides: Sides, one: str, other: str, kind: str = "cpu") -> list[float]:
    """What `one` takes of what `other` does, turn by turn."""
    turns = zip(sides[one][kind], sides[other][kind], strict=True)
    return [mine / theirs for mine, theirs in turns]


def spread(values: Sequence[float], digits: int = 1, scale: float = 1) -> str:
    """Median (least-most), times a scale."""
    numbers = statistics.median(values), min(values), max(values)
    return "{:.{d}f} ({:.{d}f}-{:.{d}f})".format(
        *(scale * number for number in numbers), d=digits
    )
