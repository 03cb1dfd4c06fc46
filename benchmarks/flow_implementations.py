"""The same neural spline flow in five libraries, which `flows.py` times.

Couplings of halves after random permutations, rational-quadratic splines of 8 bins on
[-3, 3], and a network of one layer in, four of `hidden` by `hidden`, and one out: two
residual blocks, or where a library has none (flowjax, zuko) five plain layers. Each
implementation returns its tasks, functions that run to the end, and facts for `serve`.
"""

import sys

from flow_implementations_torch import nflows, zuko
from flow_setting import BINS, BOUND, RATE, ROOT
from harness import compiled, named


def jax_tasks(params, log_prob, sample, args):
    """Return compiled tasks of `log_prob(params, x)` and `sample(params, key, n)`."""
    import jax
    import optax

    optimizer = optax.adam(RATE)
    x = jax.random.normal(jax.random.key(0), (args.batch, args.dim))
    keys = iter(jax.random.split(jax.random.key(1), 100_000))

    def step(state, x):
        params, moments = state
        loss, gradient = jax.value_and_grad(lambda p: -log_prob(p, x).mean())(params)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), loss

    def build(name, function, *inputs, **options):
        program = jax.jit(function, **options)
        ready, facts["compile"][name] = compiled(program, *inputs)
        return ready

    facts = {"version": f"jax {jax.__version__}", "compile": {}}
    state = params, optimizer.init(params)
    facts["parameters"] = sum(p.size for p in jax.tree.leaves(params))
    train = build("train", step, state, x, donate_argnums=0)
    density = build("log_prob", log_prob, params, x)
    draw = build(
        "sample", lambda p, key: sample(p, key, args.batch), params, next(keys)
    )
    params = jax.tree.map(lambda p: p.copy(), params)  # training donates the others

    def train_step():
        nonlocal state
        state, loss = train(state, x)
        loss.block_until_ready()

    def log_probs():
        density(params, x).block_until_ready()

    def samples():
        draw(params, next(keys)).block_until_ready()

    tasks = {"train": train_step, "log_prob": log_probs, "sample": samples}
    return tasks, facts


def ours(args):
    sys.path.insert(0, str(ROOT))
    import jax
    import jax.numpy as jnp

    from nfml_jax import bijectors as b
    from nfml_jax.flows import Flow
    from nfml_jax.flows.bases import Normal
    from nfml_jax.nets.conditioners import ResidualNet

    net = ResidualNet(hidden=args.hidden, blocks=2)
    coupling = b.Coupling(b.RationalQuadratic(BINS, BOUND), net)
    stack = b.Stack(b.Chain([b.Permutation(), coupling]), args.layers)
    flow = Flow(b.Inverse(stack), Normal(args.dim), args.dim)
    variables = jax.jit(flow.init)(jax.random.key(0), jnp.zeros((1, args.dim)))
    constants = {k: v for k, v in variables.items() if k != "params"}

    def log_prob(params, x):
        return flow.apply({"params": params, **constants}, x)

    def sample(params, key, n):
        variables = {"params": params, **constants}
        return flow.apply(variables, key, (n,), method="sample")

    return jax_tasks(variables["params"], log_prob, sample, args)


def distrax(args):
    sys.path.insert(0, str(ROOT))
    import distrax
    import jax
    import jax.numpy as jnp

    from nfml_jax.nets.conditioners import ResidualNet

    dim, numbers = args.dim, 3 * BINS + 1
    net, mask = ResidualNet(hidden=args.hidden, blocks=2), jnp.arange(dim) < dim // 2
    keys = jax.random.split(jax.random.key(0), args.layers)
    orders = [jax.random.permutation(key, dim) for key in keys]
    zeros = jnp.zeros((1, dim))
    params = [net.init(key, zeros, None, dim * numbers) for key in keys]
    slopes = {"boundary_slopes": "identity", "min_bin_size": 1e-3}

    def flow(params):
        def coupling(weights):
            def network(x):
                raw = net.apply(weights, x, None, dim * numbers)
                return raw.reshape(*raw.shape[:-1], dim, numbers)

            def spline(raw):
                return distrax.RationalQuadraticSpline(raw, -BOUND, BOUND, **slopes)

            return distrax.MaskedCoupling(mask, network, spline)

        def permutation(order):
            back = jnp.argsort(order)
            return distrax.Lambda(
                forward=lambda x: x[..., order],
                inverse=lambda y: y[..., back],
                forward_log_det_jacobian=lambda x: jnp.zeros(x.shape[:-1]),
                inverse_log_det_jacobian=lambda y: jnp.zeros(y.shape[:-1]),
                event_ndims_in=1,
                event_ndims_out=1,
                is_constant_jacobian=True,
            )

        layers = []
        for order, weights in zip(orders, params, strict=True):
            layers += [permutation(order), coupling(weights)]
        base = distrax.MultivariateNormalDiag(jnp.zeros(dim), jnp.ones(dim))
        return distrax.Transformed(base, distrax.Inverse(distrax.Chain(layers)))

    def log_prob(params, x):
        return flow(params).log_prob(x)

    def sample(params, key, n):
        return flow(params).sample(seed=key, sample_shape=(n,))

    tasks, facts = jax_tasks(params, log_prob, sample, args)
    return tasks, named("distrax", distrax.__version__, facts)


def flowjax(args):
    import equinox as eqx
    import flowjax
    import jax
    import jax.numpy as jnp
    import paramax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow

    flow = coupling_flow(
        jax.random.key(0),
        base_dist=Normal(jnp.zeros(args.dim)),
        transformer=RationalQuadraticSpline(knots=BINS - 1, interval=BOUND),
        flow_layers=args.layers,
        nn_width=args.hidden,
        nn_depth=5,
    )
    fixed = lambda leaf: isinstance(leaf, paramax.NonTrainable)  # noqa: E731
    params, static = eqx.partition(flow, eqx.is_inexact_array, is_leaf=fixed)

    def whole(params):
        return paramax.unwrap(eqx.combine(params, static))

    def log_prob(params, x):
        return whole(params).log_prob(x)

    def sample(params, key, n):
        return whole(params).sample(key, (n,))

    tasks, facts = jax_tasks(params, log_prob, sample, args)
    return tasks, named("flowjax", flowjax.__version__, facts)


# normflows is not timed: its spline and network are nflows' own files.
IMPLEMENTATIONS = {
    "nfml_jax": ours,
    "flowjax": flowjax,
    "distrax": distrax,
    "zuko": zuko,
    "nflows": nflows,
}
# Implementations that run in this project's environment, which has distrax.
AT_HOME = ("nfml_jax", "distrax")
