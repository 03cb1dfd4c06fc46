"""Evaluation of embeddings beside pytorch-metric-learning and scikit-learn.

pytorch-metric-learning searches and clusters by faiss. Each case runs in a process of
its own, the sides taking turns; every process makes the same data, warms up on a part
of it, and then does the case once::

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

from evaluation_sides import SIDES, embeddings, pairs
from turns import (
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
    """One side, one case, once."""
    pin(args.threads)
    side = SIDES[args.side]()
    name, _, classes = args.case.partition("-")
    data = pairs() if name == "folds" else embeddings(int(classes or 100))
    before = memory("VmRSS")
    task = getattr(side, name)
    task(*data, warm=True)
    start = clock()
    result = task(*data, warm=False)
    wall, cpu = since(start)
    versions = (f"{package} {version(package)}" for package in side.packages)
    told = {
        "version": ", ".join(versions),
        "wall": wall,
        "cpu": cpu,
        "compile": getattr(side, "compile", None),
        "memory": memory("VmHWM") - before,
        "value": [float(value) for value in result],
    }
    print(json.dumps(told))


def measure(case: str, args) -> dict:
    """The record of a case, each turn of each side in a process of its own."""
    task = case.partition("-")[0]
    sides = [side for side in args.sides.split(",") if hasattr(SIDES[side], task)]
    turns = {side: [] for side in sides}
    for _ in range(args.repeats):
        for side in sides:
            python = sys.executable if side == "nfml_jax" else args.peer_python
            command = [python, *sys.argv, "--side", side, "--case", case]
            done = subprocess.run(
                command, env=environment(args), stdout=subprocess.PIPE
            )
            if done.returncode:
                sys.exit(f"{side} did not finish {case}; its message is above.")
            turns[side].append(json.loads(done.stdout.splitlines()[-1]))
    merged = {}
    for side, told in turns.items():
        times = {kind: [turn[kind] for turn in told] for kind in KINDS}
        most = max(turn["memory"] for turn in told)
        merged[side] = told[0] | times | {"memory": most}
    return record(f"metric_evaluation {case}", "the case", "nfml_jax", merged, args)


def report(case: str, result: dict) -> str:
    digits, unit = (1, 1e3) if case == "folds" else (2, 1)
    lines = [
        f"\n{case}, {'ms' if unit > 1 else 's'} and MiB",
        f"{'':14}{'wall':>22}{'CPU':>22}{'memory':>8}  result",
    ]
    sides = result["sides"]
    for side, facts in sides.items():
        wall, cpu = (spread(facts[kind], digits, unit) for kind in KINDS)
        values = ", ".join(f"{value:.4f}" for value in facts["value"])
        lines.append(
            f"{side:14}{wall:>22}{cpu:>22}{facts['memory'] / 2**20:8.0f}  {values}  "
            f"({facts['version']})"
        )
    first, *peers = sides
    for peer in peers:
        wall, cpu = (spread(ratios(sides, first, peer, kind), 2) for kind in KINDS)
        lines.append(f"{'of ' + peer:14}{wall:>22}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, SIDES, repeats=3)
    arguments.add_argument("--sides", default=",".join(SIDES))
    arguments.add_argument("--cases", default=",".join(CASES))
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    for side in args.sides.split(","):
        if side != "nfml_jax":
            require(args.peer_python, SIDES[side].modules)
    print(f"{args.threads} threads; median (least-most) of the turns; most memory.")
    records = []
    for case in args.cases.split(","):
        records.append(measure(case, args))
        print(report(case, records[-1]), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
