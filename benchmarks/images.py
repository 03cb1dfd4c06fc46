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

from flow_tasks import OURS, TASKS, measure, repeated, report
from image_setting import multiplications
from image_sides import SIDES
from turns import parser, pin, save, serve

CASES = "8x64"


def work(args) -> None:
    """Do the tasks of one implementation, each whenever it is asked for."""
    pin(args.threads)
    args.steps, args.hidden = map(int, args.case.split("x"))
    tasks, facts = SIDES[args.side](args)
    runs = repeated(tasks, args.runs)
    if args.side == OURS:
        runs["train"] = tasks["train"]  # a dispatch of as many steps
    serve(runs, args=args, **facts)


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
    pythons = {
        side: sys.executable if side == OURS else args.peer_python
        for side in args.sides
    }
    records = []
    for case in args.cases.split(","):
        records += measure(f"images {case}", "images", pythons, args)
        steps, hidden = map(int, case.split("x"))
        what = f"{steps} steps a scale of width {hidden}"
        forward = 2 * args.batch * multiplications(steps, hidden) / 1e9
        works = [f" of {times * forward:.1f} GFLOP" for times in (3, 1, 1)]
        print(report(what, records[-len(TASKS) :], args, works), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
