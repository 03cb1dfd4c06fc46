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
from flow_tasks import TASKS, measure, repeated, report
from turns import parser, pin, save, serve

CASES = "6x5x128,6x10x256,43x5x128,43x10x256"


def work(args) -> None:
    """Do the tasks of one implementation, each whenever it is asked for."""
    pin(args.threads)
    args.dim, args.layers, args.hidden = map(int, args.case.split("x"))
    tasks, facts = SIDES[args.side](args)
    serve(repeated(tasks, args.runs), args=args, **facts)


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
    pythons = {
        side: sys.executable if side in AT_HOME else args.peer_python
        for side in args.sides
    }
    records = []
    for case in args.cases.split(","):
        records += measure(f"flows {case}", "rows", pythons, args)
        dim, layers, hidden = case.split("x")
        what = f"{dim} coordinates, {layers} layers of width {hidden}"
        print(report(what, records[-len(TASKS) :], args), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
