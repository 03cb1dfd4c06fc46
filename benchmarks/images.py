"""Glow of images: a training step, log_prob and sampling beside other libraries.

The same flow in all (see `image_implementations.py`), each in its own process on the
same cores; the implementations are timed alternately, task by task::

    python benchmarks/images.py --peer-python=/path/to/python/with/peers [--threads=2]

A case is steps of each scale x width of the networks. Images are 28x28x1 of 256 levels,
with two scales, dequantized by uniform noise in every call. This project trains as its
loop does, several steps in one dispatch, and evaluates as a run does. With --repeats=0
only the times to compile are reported.
"""

import argparse
import sys

from flow_tasks import OURS, TASKS, measure, repeated, report
from harness import parser, pin, save, serve
from image_implementations import IMPLEMENTATIONS
from image_setting import multiplications

CASES = "8x64"


def work(args) -> None:
    """Serve the tasks of one implementation."""
    pin(args.threads)
    args.steps, args.hidden = map(int, args.case.split("x"))
    tasks, facts = IMPLEMENTATIONS[args.implementation](args)
    runs = repeated(tasks, args.runs)
    if args.implementation == OURS:
        runs["train"] = tasks["train"]  # a dispatch of as many steps
    serve(runs, args=args, **facts)


def main() -> None:
    arguments = parser(__doc__, IMPLEMENTATIONS, repeats=5, threads=1)
    arguments.set_defaults(peer_python=None)  # without: this project alone
    arguments.add_argument("--cases", default=CASES, help="steps x width")
    arguments.add_argument("--implementations", default=",".join(IMPLEMENTATIONS))
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--runs", type=int, default=2, help="runs in a repeat")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    args.implementations = (
        args.implementations.split(",") if args.peer_python else [OURS]
    )
    pythons = {
        name: sys.executable if name == OURS else args.peer_python
        for name in args.implementations
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
