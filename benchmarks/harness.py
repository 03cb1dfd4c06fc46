"""Timing of several implementations, each in its own process on the same cores.

A script calls `run_alternately`, which starts the script again for each implementation
with `--implementation NAME`. That process calls `serve` with its tasks, and they are
timed alternately: each implementation once, then each again, for every repeat. Each
case gives a `record` of the same form, which --json writes:

case, unit: the name of the case, and the work that the seconds are for;
ours, peer: this project's implementation, and the fastest of the others or None;
device, threads, python;
implementations: for each its version; wall and cpu, the seconds of every repeat;
    compile, the seconds to trace and to compile, or None; memory, the bytes that the
    first run added to the process at its peak, or None; value, the result of that run;
    and further facts.
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
Timings = dict[str, dict]
"""Implementations by name, as in a record."""


def pin(threads: int) -> None:
    """Restrict this process to `threads` of its cores (Linux only)."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def clock() -> tuple[float, float]:
    """Return the wall time and the CPU time of this process, in seconds."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    return tuple(now - then for now, then in zip(clock(), start, strict=True))


def memory(field: str) -> int:
    """Return the bytes of this process: VmRSS holds now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(field))
    return int(line.split()[1]) * 1024


def compiled(program, *inputs):
    """Return a compiled function, and the seconds to trace and to compile it."""
    start = time.perf_counter()
    lowered = program.lower(*inputs)
    traced = time.perf_counter()
    ready = lowered.compile()
    return ready, (traced - start, time.perf_counter() - traced)


def torch_on(args: argparse.Namespace) -> Callable[[], None]:
    """Set PyTorch's threads and device; return a function that waits for the device."""
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
    """Run each task once and print its facts, then time each task that stdin names."""
    first = {}
    for name, task in tasks.items():
        before = reset_peak_memory() if args.platform == "cpu" else None
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


def reset_peak_memory() -> int | None:
    """Reset the peak of this process's memory; return its bytes, None if denied."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return memory("VmRSS")


def run_alternately(
    pythons: Mapping[str, str],
    tasks: Iterable[str],
    args: argparse.Namespace,
    arguments: Iterable[str] = (),
) -> dict[str, Timings]:
    """Return the timings of each task: all implementations alternately.

    `pythons` is the interpreter of each implementation, whose process gets this
    script's arguments and then further `arguments`.
    """
    tasks, workers = list(tasks), {}
    timings = {task: {} for task in tasks}
    pipe, env = subprocess.PIPE, environment(args)
    for name, python in pythons.items():
        command = [python, *sys.argv, "--implementation", name, *arguments]
        worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        line = worker.stdout.readline()
        if not line:
            sys.exit(f"The process of {name} ended at once; its message is above.")
        workers[name], first = worker, json.loads(line)
        for task in tasks:
            timings[task][name] = first[task] | {kind: [] for kind in KINDS}
    for _ in range(args.repeats):
        for task in tasks:
            for name, worker in workers.items():
                print(task, file=worker.stdin, flush=True)
                spent = json.loads(worker.stdout.readline())
                for kind, seconds in zip(KINDS, spent, strict=True):
                    timings[task][name][kind].append(seconds)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return timings


def environment(args: argparse.Namespace) -> dict[str, str]:
    """Return the environment of each implementation's process, with its threads."""
    threads = str(args.threads)
    return os.environ | {"JAX_PLATFORMS": args.platform, "OMP_NUM_THREADS": threads}


def parser(doc: str, names: Iterable[str] = (), *, repeats: int, threads: int = 2):
    """Return the parser that benchmarks share, shorter without `names` to compare."""
    made = argparse.ArgumentParser(description=doc.split("\n\n")[0])
    made.add_argument("--repeats", type=int, default=repeats, help="timed repeats")
    made.add_argument("--json", type=Path, help="write the records to this file")
    if names:
        peers = {"default": sys.executable, "help": "an interpreter with the peers"}
        made.add_argument("--peer-python", **peers)
        made.add_argument("--threads", type=int, default=threads)
        made.add_argument("--platform", default="cpu", choices=("cpu", "cuda"))
        made.add_argument(
            "--implementation", choices=list(names), help=argparse.SUPPRESS
        )
    return made


def can_import(python: str, modules: str) -> bool:
    """Return whether an interpreter can import `modules`, separated by commas."""
    probe = [python, "-c", f"import {modules}"]
    try:
        return not subprocess.run(probe, capture_output=True).returncode
    except OSError:
        return False


def require(python: str, modules: str) -> None:
    """Exit with one sentence unless the interpreter `python` can import `modules`."""
    if not can_import(python, modules):
        sys.exit(
            f"{python} cannot import {modules}: install a file of "
            "benchmarks/peers there, or name another interpreter with --peer-python."
        )


def device(platform_name: str) -> str:
    """Return a short name of the device: "cpu-amd-epyc-2-cores", or a GPU's model."""
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
    """Return the kinds of time to compare: on a GPU only wall time."""
    return KINDS if record["device"].startswith("cpu") else KINDS[:1]


def record(case: str, unit: str, ours: str, timings: Timings, args, **more) -> dict:
    """Return the record of a case (see the module), with the fields `more`."""
    made = {"case": case, "unit": unit, "ours": ours, "peer": None}
    made |= {"device": device(args.platform), "threads": args.threads}
    made |= {"python": platform.python_version(), **more, "implementations": timings}
    peers = [name for name in timings if name != ours]
    if ours in timings and peers and args.repeats:
        made["peer"] = fastest(peers, timings, kinds(made)[-1])
    return made


def save(records: Sequence[Mapping], path: Path | None) -> None:
    """Write the records to the file of --json, if one is given."""
    if path:
        path.write_text(json.dumps(records, indent=1) + "\n")


def in_units(timings: Timings, unit: float) -> Timings:
    """Return timings per unit of work, of which each repeat did `unit`."""
    return {
        name: facts | {kind: [spent / unit for spent in facts[kind]] for kind in KINDS}
        for name, facts in timings.items()
    }


def fastest(names: Iterable[str], timings: Timings, kind: str = "cpu") -> str:
    """Return the implementation with the least median time."""
    return min(names, key=lambda name: statistics.median(timings[name][kind]))


def ratios(timings: Timings, one: str, other: str, kind: str = "cpu") -> list[float]:
    """Return the time of `one` divided by that of `other`, for each repeat."""
    repeats = zip(timings[one][kind], timings[other][kind], strict=True)
    return [mine / theirs for mine, theirs in repeats]


def spread(values: Sequence[float], digits: int = 1, scale: float = 1) -> str:
    """Return "median (least-most)" of values times a scale."""
    numbers = statistics.median(values), min(values), max(values)
    return "{:.{d}f} ({:.{d}f}-{:.{d}f})".format(
        *(scale * number for number in numbers), d=digits
    )


def named(name: str, version: str, facts: dict) -> dict:
    """Return the facts, with a library's version before that of its framework."""
    return facts | {"version": f"{name} {version}, {facts['version']}"}
