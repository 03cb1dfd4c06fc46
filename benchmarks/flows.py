"""Neural spline flows: a training step, log_prob and sampling beside other libraries.

The same coupling flow in all (see `flow_sides.py`), each in a process of its own on the
same cores; one task at a time goes round the sides, turn by turn::

    python benchmarks/flows.py --peer-python=/path/to/python/with/peers

With `--repeats=0` only the times to compile are reported; a case is coordinates x
layers x width of the network::

    python benchmarks/flows.py --repeats=0 --sides=nfml_jax --cases=6x10x256,6x40x256
"""

import argparse
import sys

from flow_sides import AT_HOME, SIDES
from turns import (
    KINDS,
    in_units,
    parser,
    pin,
    ratios,
    record,
    save,
    serve,
    spread,
    take_turns,
)

CASES = "6x5x128,6x10x256,43x5x128,43x10x256"
TASKS = "train", "log_prob", "sample"


def work(args) -> None:
    """One side: does each task so many times whenever it is told to."""
    pin(args.threads)
    args.dim, args.layers, args.hidden = map(int, args.case.split("x"))
    tasks, facts = SIDES[args.side](args)

    def several(task):
        def run():
            for _ in range(args.runs):
                task()

        return run

    serve({name: several(task) for name, task in tasks.items()}, args=args, **facts)


def measure(case: str, args) -> list[dict]:
    """The records of a case's tasks."""
    pythons = {
        side: sys.executable if side in AT_HOME else args.peer_python
        for side in args.sides
    }
    turns = take_turns(pythons, TASKS, args, ["--case", case])
    unit, given = f"{args.batch} rows", {"batch": args.batch, "runs": args.runs}
    return [
        record(
            f"flows {case} {task}",
            unit,
            "nfml_jax",
            in_units(sides, args.runs),
            args,
            **given,
        )
        for task, sides in turns.items()
    ]


def report(case: str, results: list[dict], args) -> str:
    dim, layers, hidden = case.split("x")
    lines = [
        f"{dim} coordinates, {layers} layers of width {hidden}, batch {args.batch}, "
        f"{args.threads} thread(s); median (least-most) of the turns."
    ]
    for side, facts in results[0]["sides"].items():
        words = [facts["version"], f"parameters {facts['parameters']}"]
        for task, result in zip(TASKS, results, strict=True):
            if seconds := result["sides"][side]["compile"]:
                trace, compile = seconds
                words.append(
                    f"{task} traced + compiled in {trace:.1f} + {compile:.1f} s"
                )
        lines.append(f"{side}: {', '.join(words)}")
    for task, result in zip(TASKS, results, strict=True) if args.repeats else ():
        lines.append(f"{task + ', ms':16}{'wall':>24}{'CPU':>24}")
        sides, peer = result["sides"], result["peer"]
        rows = {
            side: [spread(facts[kind], 1, 1e3) for kind in KINDS]
            for side, facts in sides.items()
        }
        if peer:
            rows[f"to {peer}"] = [
                spread(ratios(sides, "nfml_jax", peer, kind), 2) for kind in KINDS
            ]
        for name, (wall, cpu) in rows.items():
            lines.append(f"  {name:14}{wall:>24}{cpu:>24}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, SIDES, repeats=5, threads=1)
    arguments.set_defaults(peer_python=None)  # without them, what is at home
    arguments.add_argument(
        "--cases", default=CASES, help="coordinates x layers x width"
    )
    arguments.add_argument("--sides", default=",".join(SIDES))
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--runs", type=int, default=4, help="runs in one turn")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    args.sides = args.sides.split(",")
    if not args.peer_python:
        args.sides = [side for side in args.sides if side in AT_HOME]
    records = []
    for case in args.cases.split(","):
        records += measure(case, args)
        print(report(case, records[-len(TASKS) :], args), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
