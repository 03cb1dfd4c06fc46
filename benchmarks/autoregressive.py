"""Sampling a masked autoregressive flow: our solvers beside flowjax and zuko, on a CPU.

A five-layer affine MAF with hidden layers of 256 and 256 draws a batch of events. Each
solver and each peer runs in its own process on one core, and they are timed
alternately::

    python benchmarks/autoregressive.py --peer-python=/path/to/python/with/peers

Without `--weights` the last layers are drawn as PyTorch and equinox draw them. For a
trained flow, first fit one to data (by default a generated density of correlated
coordinates), which writes its weights and says how well it fits, then time those::

    python benchmarks/autoregressive.py --train=maf.npz --data=FILE.npy
    python benchmarks/autoregressive.py --weights=maf.npz --peer-python=...

The peers take the same time whatever the weights: D passes.
"""

import sys
from pathlib import Path

from harness import (
    compiled,
    fastest,
    in_units,
    parser,
    pin,
    ratios,
    record,
    run_alternately,
    save,
    serve,
    spread,
    torch_on,
)
from maf import HIDDEN, LAYERS, OURS, examine, make_flow, train, weights_of

PEERS = ("flowjax", "zuko")


def our_task(solver: str, args):
    import jax

    flow = make_flow(args.dim, solver)
    variables = weights_of(args.weights, args.dim)

    def draw(variables, key):
        return flow.apply(variables, key, (args.batch,), method="sample")

    draw, seconds = compiled(jax.jit(draw), variables, jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 10_000))
    run = lambda: jax.block_until_ready(draw(variables, next(keys)))  # noqa: E731
    return run, f"jax {jax.__version__}", seconds


def flowjax_task(args):
    import equinox as eqx
    import flowjax
    import jax
    import jax.numpy as jnp
    from flowjax.distributions import Normal
    from flowjax.flows import masked_autoregressive_flow

    flow = masked_autoregressive_flow(
        jax.random.key(0),
        base_dist=Normal(jnp.zeros(args.dim)),
        flow_layers=LAYERS,
        nn_width=HIDDEN[0],
        nn_depth=len(HIDDEN),
    )
    draw = eqx.filter_jit(lambda flow, key: flow.sample(key, (args.batch,)))
    draw, seconds = compiled(draw, flow, jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 10_000))
    run = lambda: jax.block_until_ready(draw(flow, next(keys)))  # noqa: E731
    return run, f"flowjax {flowjax.__version__}, jax {jax.__version__}", seconds


def zuko_task(args):
    import torch
    import zuko

    torch_on(args)
    flow = zuko.flows.MAF(args.dim, transforms=LAYERS, hidden_features=HIDDEN)

    def draw():
        with torch.no_grad():
            flow().sample((args.batch,))

    return draw, f"zuko {zuko.__version__}, torch {torch.__version__}", None


def work(args) -> None:
    """Serve one implementation, whose task is to draw `args.draws` batches."""
    pin(args.threads)
    if args.implementation in OURS:
        run, version, seconds = our_task(OURS[args.implementation], args)
    else:
        make = {"flowjax": flowjax_task, "zuko": zuko_task}[args.implementation]
        run, version, seconds = make(args)

    def draw():
        for _ in range(args.draws):
            run()

    serve({"draw": draw}, version, args, {"draw": seconds})


def measure(args) -> dict:
    """Return the timings of all implementations in seconds a batch."""
    pythons = dict.fromkeys(OURS, sys.executable)
    if args.peer_python:
        pythons |= dict.fromkeys(PEERS, args.peer_python)
    return in_units(run_alternately(pythons, ["draw"], args)["draw"], args.draws)


def records(timings: dict, examined: dict, args) -> list[dict]:
    """Return a record for each of our solvers, each beside the peers."""
    unit, peers = (
        f"{args.batch} events",
        [name for name in PEERS if name in timings],
    )
    return [
        record(
            f"autoregressive {solver}",
            unit,
            ours,
            {name: timings[name] for name in (ours, *peers)},
            args,
            dim=args.dim,
            examined=examined,
        )
        for ours, solver in OURS.items()
    ]


def report(timings: dict, examined: dict, args) -> str:
    lines = [
        f"Milliseconds to draw {args.batch} events of {args.dim} coordinates, "
        f"{args.threads} thread(s); median (least-most) of the repeats.",
        f"{'':22}{'CPU':>22}{'wall':>22}",
    ]
    for name, facts in timings.items():
        cpu, wall = (spread(facts[kind], 1, 1e3) for kind in ("cpu", "wall"))
        made = (
            f", compiled in {sum(facts['compile']):.1f} s" if facts["compile"] else ""
        )
        lines.append(f"{name:22}{cpu:>22}{wall:>22}  {facts['version']}{made}")
    if args.peer_python:
        peer = fastest(PEERS, timings)
        for name in OURS:
            lines.append(
                f"CPU of {peer} / {name}: {spread(ratios(timings, peer, name))}"
            )
    lines += [f"{what}: {value}" for what, value in examined.items()]
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, [*OURS, *PEERS], repeats=9, threads=1)
    arguments.set_defaults(peer_python=None)  # without them, our solvers alone
    arguments.add_argument("--dim", type=int, default=43)
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--draws", type=int, default=3, help="batches in a repeat")
    arguments.add_argument("--weights", help="time the flow of this file")
    arguments.add_argument("--train", type=Path, help="fit a flow, write this file")
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--data", type=Path, help=".npy or .npz of events [N, D]")
    arguments.add_argument("--key", default="train", help="the array in an .npz")
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    if args.train:
        return train(args)
    timings, examined = measure(args), examine(args)
    print(report(timings, examined, args))
    save(records(timings, examined, args), args.json)


if __name__ == "__main__":
    main()
