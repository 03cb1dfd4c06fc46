"""Neural spline flows: a training step, log_prob and sampling beside other libraries.

The same coupling flow in all (see `flow_implementations.py`), each in its own process
on the same cores; the implementations are timed alternately, task by task::

    python benchmarks/flows.py --peer-python=/path/to/python/with/peers

With `--repeats=0` only the times to compile are reported; a case is coordinates x
layers x width of the network::

    python benchmarks/flows.py --repeats=0 --implementations=nfml_jax --cases=6x10x256
"""

import argparse
import sys

from flow_implementations import AT_HOME, IMPLEMENTATIONS
from flow_tasks import TASKS, measure, repeated, report
from harness import parser, pin, save, serve

CASES = "6x5x128,6x10x256,43x5x128,43x10x256"


def work(args) -> None:
    """Serve the tasks of one implementation."""
    pin(args.threads)
    args.dim, args.layers, args.hidden = map(int, args.case.split("x"))
    tasks, facts = IMPLEMENTATIONS[args.implementation](args)
    serve(repeated(tasks, args.runs), args=args, **facts)


def main() -> None:
    arguments = parser(__doc__, IMPLEMENTATIONS, repeats=5, threads=1)
    arguments.set_defaults(peer_python=None)  # without: `AT_HOME` alone
    arguments.add_argument(
        "--cases", default=CASES, help="coordinates x layers x width"
    )
    arguments.add_argument("--implementations", default=",".join(IMPLEMENTATIONS))
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--runs", type=int, default=4, help="runs in a repeat")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    args.implementations = args.implementations.split(",")
    if not args.peer_python:
        args.implementations = [
            name for name in args.implementations if name in AT_HOME
        ]
    pythons = {
        name: sys.executable if name in AT_HOME else args.peer_python
        for name in args.implementations
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
