"""Evaluation of embeddings beside pytorch-metric-learning and scikit-learn.

pytorch-metric-learning searches and clusters by faiss. Each repeat of a case runs in a
new process, and the implementations alternate. A process makes the data, warms up on a
part of it, and runs the case once::

    python benchmarks/metric_evaluation.py --peer-python=/path/to/python/with/peers

`retrieval-C`: Recall@1 and MAP@R of 20,000 embeddings of 128 dimensions in C classes,
each among all others. `folds`: LFW's ten folds of 6,000 pairs, from their scores.
`clusters`: k-means with as many clusters as the 100 classes of 20,000 embeddings, NMI
and AMI. Memory is the most that a process held less what it held before, with its
libraries loaded and the data made, and so includes what warming up leaves. Linux only.
"""

import argparse
import json
import subprocess
import sys
from importlib.metadata import version

from evaluation_implementations import IMPLEMENTATIONS, embeddings, pairs
from harness import (
    KINDS,
    clock,
    environment,
    memory,
    parser,
    pin,
    ratios,
    record,
    require,
    save,
    since,
    spread,
)

CASES = "retrieval-1000", "retrieval-10", "folds", "clusters"


def work(args) -> None:
    """Run one case of one implementation once, and print its record."""
    pin(args.threads)
    measured = IMPLEMENTATIONS[args.implementation]()
    name, _, classes = args.case.partition("-")
    data = pairs() if name == "folds" else embeddings(int(classes or 100))
    before = memory("VmRSS")
    task = getattr(measured, name)
    task(*data, warm=True)
    start = clock()
    result = task(*data, warm=False)
    wall, cpu = since(start)
    versions = (f"{package} {version(package)}" for package in measured.packages)
    facts = {
        "version": ", ".join(versions),
        "wall": wall,
        "cpu": cpu,
        "compile": getattr(measured, "compile", None),
        "memory": memory("VmHWM") - before,
        "value": [float(value) for value in result],
    }
    print(json.dumps(facts))


def measure(case: str, args) -> dict:
    """Return the record of a case, with a new process for each repeat."""
    task = case.partition("-")[0]
    names = [
        name
        for name in args.implementations.split(",")
        if hasattr(IMPLEMENTATIONS[name], task)
    ]
    repeats = {name: [] for name in names}
    for _ in range(args.repeats):
        for name in names:
            python = sys.executable if name == "nfml_jax" else args.peer_python
            command = [
                python,
                *sys.argv,
                "--implementation",
                name,
                "--case",
                case,
            ]
            done = subprocess.run(
                command, env=environment(args), stdout=subprocess.PIPE
            )
            if done.returncode:
                sys.exit(f"{name} did not finish {case}; its message is above.")
            repeats[name].append(json.loads(done.stdout.splitlines()[-1]))
    merged = {}
    for name, found in repeats.items():
        times = {kind: [repeat[kind] for repeat in found] for kind in KINDS}
        most = max(repeat["memory"] for repeat in found)
        merged[name] = found[0] | times | {"memory": most}
    return record(f"metric_evaluation {case}", "the case", "nfml_jax", merged, args)


def report(case: str, result: dict) -> str:
    digits, unit = (1, 1e3) if case == "folds" else (2, 1)
    lines = [
        f"\n{case}, {'ms' if unit > 1 else 's'} and MiB",
        f"{'':14}{'wall':>22}{'CPU':>22}{'memory':>8}  result",
    ]
    timings = result["implementations"]
    for name, facts in timings.items():
        wall, cpu = (spread(facts[kind], digits, unit) for kind in KINDS)
        values = ", ".join(f"{value:.4f}" for value in facts["value"])
        lines.append(
            f"{name:14}{wall:>22}{cpu:>22}{facts['memory'] / 2**20:8.0f}  {values}  "
            f"({facts['version']})"
        )
    first, *peers = timings
    for peer in peers:
        wall, cpu = (spread(ratios(timings, first, peer, kind), 2) for kind in KINDS)
        lines.append(f"{'of ' + peer:14}{wall:>22}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, IMPLEMENTATIONS, repeats=3)
    arguments.add_argument("--implementations", default=",".join(IMPLEMENTATIONS))
    arguments.add_argument("--cases", default=",".join(CASES))
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    for name in args.implementations.split(","):
        if name != "nfml_jax":
            require(args.peer_python, IMPLEMENTATIONS[name].modules)
    print(
        f"{args.threads} threads; median (least-most) of the repeats; largest memory."
    )
    records = []
    for case in args.cases.split(","):
        records.append(measure(case, args))
        print(report(case, records[-1]), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
