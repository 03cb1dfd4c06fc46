"""The masked autoregressive flow that `autoregressive.py` times.

It has five affine layers, whose weights are drawn or fitted to data; `examine` counts
the sweeps of its solvers and measures their errors.
"""

import sys
from pathlib import Path

LAYERS, HIDDEN = 5, (256, 256)
OURS = {
    "nfml_jax gs_jacobi": "gs_jacobi",
    "nfml_jax scan": "scan",
    "nfml_jax jacobi": "jacobi",
}


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
    """Return a flow's variables: those of a file, or drawn as the peers draw theirs."""
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


def examine(args) -> dict:
    """Return the number of Jacobi sweeps in each layer, and each solver's errors."""
    import jax
    import jax.numpy as jnp

    variables = weights_of(args.weights, args.dim)
    z = jax.random.normal(jax.random.key(2), (args.batch, args.dim))
    found = {"sweeps of jacobi, layer by layer": _sweeps(variables, z)}
    for name, solver in OURS.items():
        flow = make_flow(args.dim, solver)

        @jax.jit
        def round_trip(variables, z, flow=flow):
            bound = flow.bind(variables)
            x, log_det = bound.bijector.forward_and_log_det(z)
            again, back = bound.bijector.inverse_and_log_det(x)
            return jnp.abs(again - z).max(), jnp.abs(log_det + back).max()

        errors = [float(e) for e in round_trip(variables, z)]
        found[f"{name}: largest round-trip error of z and log-det"] = errors
    return found


def _sweeps(variables, z) -> list[int]:
    """Return the number of Jacobi sweeps in each layer, in the order of sampling."""
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
    """Return standardized events for training and, the last tenth, for validation."""
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
    """Fit a flow by Adam, and write the weights that are best on validation."""
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
