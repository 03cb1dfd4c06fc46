"""`python -m benchmarks [NAME...]`: this project beside its peers, case by case.

Runs all benchmarks, or those named (`flows`, or one case of it, `flows:6x5x128`). The
peers live in environments of their own, which pip makes on first use. Our time, the
fastest peer's, and their ratio in each repeat, median (least-most), are printed and
kept with all times in results/benchmarks/<device>.json, and drawn beside it. `--check`
writes nothing: it compares the ratios with that file, and exits with 1 if any is worse.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.catalogue import BENCHMARKS, Benchmark, chosen, listing
from benchmarks.comparison import HEADER, Records, Verdict, compare, read, rows, write
from benchmarks.environments import cache, environment, named_pythons
from benchmarks.harness import can_import, device
from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = {"auto": None, "cpu": "cpu", "cuda": "cuda"}


@command
def main(arguments=None) -> None:
    options = parser().parse_args(arguments)
    runs = chosen(options.names)
    if options.list:
        return print(listing())
    if sys.platform != "linux":
        raise UserError("the benchmarks pin processes to cores; run them on Linux.")
    if options.repeats is not None and options.repeats < 1:
        raise UserError(f"--repeats is {options.repeats}; give at least 1.")
    options.platform = look_up(PLATFORMS, options.platform, "platform") or detected()
    pythons = named_pythons(options.peer_python)
    where = device(options.platform)
    file = options.output / f"{where}.json"
    recorded = read(file)
    if options.check and not recorded:
        raise UserError(
            f"nothing is recorded for {where} in {options.output}; run without --check "
            "first, on the code to compare with."
        )
    measured, skipped = {}, []
    for name, case, records in measure(runs, pythons, options):
        if records is None:
            skipped.append(f"{name}:{case}".rstrip(":"))
            continue
        print("\n".join(map(rows, records.values())), flush=True)
        measured |= records
        if not options.check:
            with writing(file):
                write(recorded | measured, file)
    if measured:
        print(f"\n{where}\n{HEADER}", *map(rows, measured.values()), sep="\n")
    if measured and not options.check:
        draw(recorded | measured, where, file.with_suffix(".png"))
    if options.check and any_worse(recorded, measured):
        sys.exit(1)
    if skipped:
        raise UserError(f"not measured: {', '.join(skipped)}; the reasons are above.")


def parser() -> argparse.ArgumentParser:
    made = make_parser("benchmarks", __doc__, "python -m")
    add = made.add_argument
    add("names", nargs="*", metavar="NAME")
    add("--list", action="store_true", help="name all benchmarks")
    add("--check", action="store_true", help="compare with what is recorded")
    add("--repeats", type=int, help="timed repeats; default: each script's own")
    add("--platform", default="auto", help=", ".join(PLATFORMS))
    peers = "an interpreter with the peers of one environment, or of all"
    add("--peer-python", action="append", default=[], metavar="[NAME=]PATH", help=peers)
    add("--environments", type=Path, default=cache(), help="where they are made")
    folder = ROOT / "results" / "benchmarks"
    add("--output", type=Path, default=folder, help="a folder of records and figures")
    return made


def detected() -> str:
    """Return the platform that JAX uses on this machine: "cuda" or "cpu"."""
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    ask = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    backend = subprocess.run(ask, capture_output=True, text=True).stdout
    return "cuda" if backend.strip() == "gpu" else "cpu"


def measure(runs: dict[str, tuple[str, ...]], pythons: dict[str, str], options):
    """Yield the name, case and records of each run; None if it fails."""
    if options.platform != "cpu":
        for name in [name for name in runs if BENCHMARKS[name].cuda is None]:
            print(f"{name} is left out: it is for CPUs only.")
            runs = {other: cases for other, cases in runs.items() if other != name}
    missing = {}
    for peers in sorted(
        {BENCHMARKS[name].peers or "" for name in runs} - {"", *pythons}
    ):
        try:
            pythons = pythons | {peers: environment(peers, options.environments)}
        except UserError as problem:
            missing[peers] = str(problem)
    print(HEADER, flush=True)
    for name, cases in runs.items():
        benchmark = BENCHMARKS[name]
        python = pythons.get(benchmark.peers)
        reason = missing.get(benchmark.peers)
        if python and not can_import(python, benchmark.modules):
            reason = f"{python} cannot import {benchmark.modules}."
        if reason:
            print(f"{name} is skipped: {reason}", flush=True)
            yield name, "", None
            continue
        for case in cases or ("",):
            if sys.stdout.isatty():
                print(f"{name} {case} ...", end="\r", flush=True)
            yield name, case, run(benchmark, case, python, options)


def run(benchmark: Benchmark, case: str, python: str | None, options) -> Records | None:
    """Return the records of one run of a script, or None if it fails."""
    flags = benchmark.arguments.split()
    flags += [f"--cases={case}"] * bool(case)
    flags += [f"--repeats={options.repeats}"] * (options.repeats is not None)
    if python:
        flags += [f"--peer-python={python}", f"--platform={options.platform}"]
    if options.platform != "cpu":
        flags += benchmark.cuda.split()
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(":")
    env = os.environ | {"JAX_PLATFORMS": options.platform, "PYTHONPATH": path}
    script = str(ROOT / "benchmarks" / benchmark.script)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.json"
        command = [sys.executable, script, *flags, f"--json={file}"]
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
        if done.returncode:
            print(f"{benchmark.script} {case} ended with an error, which is above.")
            return None
        return read(file)


def draw(records: Records, where: str, file: Path) -> None:
    from benchmarks.figure import ratio_figure
    from nfml_jax.plots import save, to_rgb

    with writing(file):
        save(to_rgb(ratio_figure(list(records.values()), where)), file)


def any_worse(recorded: Records, measured: Records) -> bool:
    """Print how ratios compare with the recorded ones; return True if any is worse."""
    verdicts = compare(recorded, measured.values())
    print("", *verdicts, sep="\n")
    return any(isinstance(found, Verdict) and found.worse for found in verdicts)


if __name__ == "__main__":
    sys.exit(main())
