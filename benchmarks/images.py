"""Glow of images: a training step, log_prob and sampling beside other libraries.

The same flow in all (see `image_sides.py`), each in a process of its own on the same
cores; one task at a time goes round the sides, turn by turn::

    python benchmarks/images.py --peer-python=/path/to/python/with/peers [--threads=2]

A case is steps of each scale x width of the networks. Images are 28x28x1 of 256 levels,
with two scales, dequantized by uniform noise in every call. This project trains as its
loop does, several steps in one dispatch, and evaluates as a run does. With --repeats=0
only the times to compile are reported.
"""

import argparse
import sys

from image_setting import multiplications
from image_sides import SIDES
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

CASES = "8x64"
OURS = "nfml_jax"
TASKS = "train", "log_prob", "sample"


def work(args) -> None:
    """One side: does each task so many times whenever it is told to."""
    pin(args.threads)
    args.steps, args.hidden = map(int, args.case.split("x"))
    tasks, facts = SIDES[args.side](args)

    def several(task):
        def run():
            for _ in range(args.runs):
                task()

        return run

    runs = {name: several(task) for name, task in tasks.items()}
    if args.side == OURS:
        runs["train"] = tasks["train"]  # a dispatch of as many steps
    serve(runs, args=args, **facts)


def measure(case: str, args) -> list[dict]:
    """The records of a case's tasks."""
    pythons = {
        side: sys.executable if side == OURS else args.peer_python
        for side in args.sides
    }
    turns = take_turns(pythons, TASKS, args, ["--case", case])
    unit, given = f"{args.batch} images", {"batch": args.batch, "runs": args.runs}
    return [
        record(
            f"images {case} {task}",
            unit,
            OURS,
            in_units(sides, args.runs),
            args,
            **given,
        )
        for task, sides in turns.items()
    ]


def report(case: str, results: list[dict], args) -> str:
    steps, hidden = map(int, case.split("x"))
    lines = [
        f"{steps} steps a scale of width {hidden}, batch {args.batch}, "
        f"{args.threads} thread(s); median (least-most) of the turns."
    ]
    gigaflop = 2 * args.batch * multiplications(steps, hidden) / 1e9
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
        work = gigaflop * (3 if task == "train" else 1)
        title = f"{task} of {work:.1f} GFLOP, ms"
        lines.append(f"{title:32}{'wall':>22}{'CPU':>22}")
        sides, peer = result["sides"], result["peer"]
        rows = {
            side: [spread(facts[kind], 1, 1e3) for kind in KINDS]
            for side, facts in sides.items()
        }
        if peer:
            rows[f"to {peer}"] = [
                spread(ratios(sides, OURS, peer, kind), 2) for kind in KINDS
            ]
        for name, (wall, cpu) in rows.items():
            lines.append(f"  {name:30}{wall:>22}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, SIDES, repeats=5, threads=1)
    arguments.set_defaults(peer_python=None)  # without them, this project alone
    arguments.add_argument("--cases", default=CASES, help="steps x width")
    arguments.add_argument("--sides", default=",".join(SIDES))
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--runs", type=int, default=2, help="runs in one turn")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    args.sides = args.sides.split(",") if args.peer_python else [OURS]
    records = []
    for case in args.cases.split(","):
        records += measure(case, args)
        print(report(case, records[-len(TASKS) :], args), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
