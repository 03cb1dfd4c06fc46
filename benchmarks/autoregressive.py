"""Sampling a masked autoregressive flow: our solvers beside flowjax and zuko, on a CPU.

A five-layer affine MAF with hidden layers of 256 and 256 draws a batch of events. Each
side is a process of its own on one core, and they take turns::

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

from turns import (
    compiled,
    fastest,
    in_units,
    parser,
    pin,
    ratios,
    record,
    save,
    serve,
    spread,
    take_turns,
    torch_on,
)

LAYERS, HIDDEN = 5, (256, 256)
OURS = {
    "nfml_jax gs_jacobi": "gs_jacobi",
    "nfml_jax scan": "scan",
    "nfml_jax jacobi": "jacobi",
}
PEERS = ("flowjax", "zuko")


def make_flow(event_dim: int, solver: str):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from nfml_jax.bijectors import (
        Affine,
        Autoregressive,
        Chain,
        Inverse,
        Reverse,
        Stack,
    )
    from nfml_jax.flows import Flow
    from nfml_jax.flows.bases import Normal
    from nfml_jax.nets.made import MADE

    made = MADE(hidden=HIDDEN)
    layer = Chain([Autoregressive(Affine(), made, solver=solver), Reverse()])
    return Flow(Inverse(Stack(layer, LAYERS)), Normal(event_dim), event_dim)


def weights_of(path: str | None, event_dim: int):
    """A flow's variables: those of a file, or drawn as the peers draw theirs."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    flow = make_flow(event_dim, "scan")
    shapes = jax.eval_shape(flow.init, jax.random.key(0), jnp.zeros((1, event_dim)))
    leaves, structure = jax.tree.flatten_with_path(shapes)
    if path:
        with np.load(path) as file:
            values = [jnp.asarray(file[jax.tree_util.keystr(p)]) for p, _ in leaves]
        return jax.tree.unflatten(structure, values)
    rng = np.random.default_rng(0)
    values = []
    for where, leaf in leaves:
        inputs = event_dim if "_0" in jax.tree_util.keystr(where) else HIDDEN[-1]
        bound = inputs**-0.5
        values.append(jnp.asarray(rng.uniform(-bound, bound, leaf.shape), jnp.float32))
    return jax.tree.unflatten(structure, values)


def our_side(solver: str, args):
    import jax

    flow = make_flow(args.dim, solver)
    variables = weights_of(args.weights, args.dim)

    def draw(variables, key):
        return flow.apply(variables, key, (args.batch,), method="sample")

    draw, seconds = compiled(jax.jit(draw), variables, jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 10_000))
    run = lambda: jax.block_until_ready(draw(variables, next(keys)))  # noqa: E731
    return run, f"jax {jax.__version__}", seconds


def flowjax_side(args):
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


def zuko_side(args):
    import torch
    import zuko

    torch_on(args)
    flow = zuko.flows.MAF(args.dim, transforms=LAYERS, hidden_features=HIDDEN)

    def draw():
        with torch.no_grad():
            flow().sample((args.batch,))

    return draw, f"zuko {zuko.__version__}, torch {torch.__version__}", None


def work(args) -> None:
    """One side: draws so many batches whenever it is told to."""
    pin(args.threads)
    if args.side in OURS:
        run, version, seconds = our_side(OURS[args.side], args)
    else:
        side = {"flowjax": flowjax_side, "zuko": zuko_side}[args.side]
        run, version, seconds = side(args)

    def draw():
        for _ in range(args.draws):
            run()

    serve({"draw": draw}, version, args, {"draw": seconds})


def measure(args) -> dict:
    """Every side's share of the records, seconds of a batch."""
    pythons = dict.fromkeys(OURS, sys.executable)
    if args.peer_python:
        pythons |= dict.fromkeys(PEERS, args.peer_python)
    return in_units(take_turns(pythons, ["draw"], args)["draw"], args.draws)


def records(sides: dict, examined: dict, args) -> list[dict]:
    """A record of each solver beside the peers."""
    unit, peers = f"{args.batch} events", [side for side in PEERS if side in sides]
    return [
        record(
            f"autoregressive {solver}",
            unit,
            ours,
            {side: sides[side] for side in (ours, *peers)},
            args,
            dim=args.dim,
            examined=examined,
        )
        for ours, solver in OURS.items()
    ]


def examine(args) -> dict:
    """What the solvers do with these weights: sweeps of Jacobi, and errors."""
    import jax
    import jax.numpy as jnp

    variables = weights_of(args.weights, args.dim)
    z = jax.random.normal(jax.random.key(2), (args.batch, args.dim))
    found = {"sweeps of jacobi, layer by layer": _sweeps(variables, z)}
    for name, solver in OURS.items():
        flow = make_flow(args.dim, solver)

        @jax.jit
        def there_and_back(variables, z, flow=flow):
            bound = flow.bind(variables)
            x, log_det = bound.bijector.forward_and_log_det(z)
            again, back = bound.bijector.inverse_and_log_det(x)
            return jnp.abs(again - z).max(), jnp.abs(log_det + back).max()

        errors = [float(e) for e in there_and_back(variables, z)]
        found[f"{name}: greatest error of z and log-det, there and back"] = errors
    return found


def _sweeps(variables, z) -> list[int]:
    """How many sweeps Jacobi's iteration takes in each layer, in sampling's order."""
    import jax
    import jax.numpy as jnp

    from nfml_jax.bijectors.fixed_point import jacobi

    layer = make_flow(z.shape[-1], "jacobi").bijector.bijector.layer.bijectors[0]
    params = variables["params"]["bijector"]["bijector"]["layer"]["bijectors_0"]

    @jax.jit
    def invert(params, y):
        bound = layer.bind({"params": params})
        network, numbers = bound.conditioner.network(y, None, 2)

        def sweep(x):
            return bound.transform.inverse_and_log_det(network(numbers, x), y)[0]

        return jacobi(sweep, y, network.depth, bound.tolerance)

    counts = []
    for i in reversed(range(LAYERS)):
        z, count = invert(jax.tree.map(lambda p, i=i: p[i], params), jnp.flip(z, -1))
        counts.append(int(count))
    return counts


def events(args):
    """Standardised events for training and for validation, the last tenth."""
    import numpy as np

    if args.data is None:
        # Chains of curved, heteroscedastic dependencies.
        rng = np.random.default_rng(0)
        x = rng.normal(size=(20_000, args.dim))
        for i in range(1, args.dim):
            past = x[:, max(0, i - 3) : i].mean(1)
            x[:, i] = np.sin(2 * past) + x[:, i] * (0.1 + 0.3 * np.abs(past))
    else:
        x = np.load(args.data)
        if args.data.suffix == ".npz":
            x = x[args.key]
        x = np.random.default_rng(0).permutation(np.asarray(x, float))
    train, valid = np.split(x, [len(x) * 9 // 10])
    mean, deviation = train.mean(0), train.std(0)
    return tuple(((a - mean) / deviation).astype(np.float32) for a in (train, valid))


def train(args) -> None:
    """Maximum likelihood by Adam; keeps the weights that are best on validation."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    train, valid = events(args)
    flow = make_flow(train.shape[-1], "scan")
    optimizer = optax.chain(
        optax.clip_by_global_norm(5.0),
        optax.adam(optax.cosine_decay_schedule(1e-3, args.steps)),
    )

    def nll(variables, x):
        return -flow.apply(variables, x).mean()

    @jax.jit
    def many_steps(variables, state, batches):
        def step(carry, x):
            variables, state = carry
            loss, gradient = jax.value_and_grad(nll)(variables, x)
            updates, state = optimizer.update(gradient, state)
            return (optax.apply_updates(variables, updates), state), loss

        (variables, state), losses = jax.lax.scan(step, (variables, state), batches)
        return variables, state, losses.mean()

    variables = jax.jit(flow.init)(jax.random.key(0), jnp.asarray(train[:2]))
    state, rng = optimizer.init(variables), np.random.default_rng(1)
    validate, best, kept = jax.jit(nll), np.inf, variables
    every = 50
    for i in range(0, args.steps, every):
        places = rng.integers(len(train), size=(every, 256))
        variables, state, loss = many_steps(variables, state, train[places])
        held_out = float(validate(variables, valid))
        if held_out < best:
            best, kept = held_out, variables
        if i % (10 * every) == 0 or i + every >= args.steps:
            line = f"training {loss:.3f}, validation {held_out:.3f}, best {best:.3f}"
            print(f"step {i + every}: {line} nats", flush=True)
    leaves, _ = jax.tree.flatten_with_path(kept)
    np.savez(args.train, **{jax.tree_util.keystr(p): leaf for p, leaf in leaves})


def report(sides: dict, examined: dict, args) -> str:
    lines = [
        f"Milliseconds to draw {args.batch} events of {args.dim} coordinates, "
        f"{args.threads} thread(s); median (least-most) of the turns.",
        f"{'':22}{'CPU':>22}{'wall':>22}",
    ]
    for side, facts in sides.items():
        cpu, wall = (spread(facts[kind], 1, 1e3) for kind in ("cpu", "wall"))
        made = (
            f", compiled in {sum(facts['compile']):.1f} s" if facts["compile"] else ""
        )
        lines.append(f"{side:22}{cpu:>22}{wall:>22}  {facts['version']}{made}")
    if args.peer_python:
        peer = fastest(PEERS, sides)
        for side in OURS:
            lines.append(f"CPU of {peer} / {side}: {spread(ratios(sides, peer, side))}")
    lines += [f"{what}: {value}" for what, value in examined.items()]
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, [*OURS, *PEERS], repeats=9, threads=1)
    arguments.set_defaults(peer_python=None)  # without them, our solvers alone
    arguments.add_argument("--dim", type=int, default=43)
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--draws", type=int, default=3, help="batches in one turn")
    arguments.add_argument("--weights", help="time the flow of this file")
    arguments.add_argument("--train", type=Path, help="fit a flow, write this file")
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--data", type=Path, help=".npy or .npz of events [N, D]")
    arguments.add_argument("--key", default="train", help="the array in an .npz")
    args = arguments.parse_args()
    if args.side:
        return work(args)
    if args.train:
        return train(args)
    sides, examined = measure(args), examine(args)
    print(report(sides, examined, args))
    save(records(sides, examined, args), args.json)


if __name__ == "__main__":
    main()
