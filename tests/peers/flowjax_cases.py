"""Scalar maps, linear maps, flows and bases beside flowjax."""

from functools import partial

import numpy as np

from tests.peers import curves, own_flows
from tests.peers.curves import BINS, BOUND, DIM, HIDDEN, LEAST, events, numbers, points

PEER, ENVIRONMENT = "flowjax", "flows"
EXPLAINED = {
    "spline, derivative": (
        "At the bound itself theirs has the gradient of two clips, a half of each."
    ),
}


def ours():
    return own_flows.maps("affine", "exp", "softplus", "sigmoid", "tanh", "spline") | {
        "lower triangle": own_flows.lower_triangle,
        "planar": own_flows.planar,
        "reflection": own_flows.reflection,
        **own_flows.with_networks(),
        "bases": partial(own_flows.bases, "normal", "uniform", "student_t", "mixture"),
    }


def theirs():
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from flowjax import bijections as b
    from flowjax import distributions
    from paramax import Parameterize, unwrap

    def of_events(bijection, inverse=True):
        bijection = unwrap(bijection)
        found = own_flows.both_ways(
            bijection.transform_and_log_det,
            bijection.inverse_and_log_det
            if inverse
            else bijection.transform_and_log_det,
            events(),
        )
        return found if inverse else dict(list(found.items())[:2])

    def spline_of(parts=None):
        """Return a spline with linear tails, of parameters that networks may move."""
        curve = b.RationalQuadraticSpline(
            knots=BINS - 1, interval=BOUND, min_width=2 * BOUND * LEAST
        )

        def slopes(raw):
            free = (1 - LEAST) * jax.nn.softplus(raw) / np.log(2.0)
            batch = [(0, 0)] * (raw.ndim - 1)
            return jnp.pad(LEAST + free, [*batch, (1, 1)], constant_values=1.0)

        raw = jnp.zeros(BINS - 1)
        if parts is not None:
            raw = jnp.asarray(curves.raw_slopes(parts["slopes"][1:-1]), jnp.float32)
            for name, field in {"widths": "x_pos", "heights": "y_pos"}.items():
                curve = eqx.tree_at(
                    lambda c, field=field: getattr(c, field).arr,
                    curve,
                    jnp.asarray(parts[name], jnp.float32),
                )
        return eqx.tree_at(lambda c: c.derivatives, curve, Parameterize(slopes, raw))

    def affine_of():
        def scale(raw):
            most = curves.MOST_LOG_SCALE
            return jnp.exp(most * jnp.tanh(raw / most))

        start = Parameterize(scale, jnp.zeros(()))
        return eqx.tree_at(lambda a: a.scale, b.Affine(), start)

    def linears(layers, net):
        first, bias, last, shift = map(jnp.asarray, net)
        for layer, weight, add in zip(
            layers, (first.T, last.T), (bias, shift), strict=True
        ):
            layer = eqx.tree_at(lambda m: m.weight, layer, weight)
            yield eqx.tree_at(lambda m: m.bias, layer, add)

    def coupling(transformer, params, order, seed):
        made = b.Coupling(
            jax.random.key(0),
            transformer=transformer,
            untransformed_dim=DIM // 2,
            dim=DIM,
            nn_width=HIDDEN,
            nn_depth=1,
        )
        net = order(curves.network(DIM // 2, DIM // 2 * params, seed))
        layers = tuple(linears(made.conditioner.layers, net))
        return eqx.tree_at(lambda m: m.conditioner.layers, made, layers)

    def masked(transformer, params, order, seed):
        made = b.MaskedAutoregressive(
            jax.random.key(0),
            transformer=transformer,
            dim=DIM,
            nn_width=HIDDEN,
            nn_depth=1,
        )
        net = order(curves.masked_network(params, seed))
        layers = tuple(linears(made.masked_autoregressive_mlp.layers, net))
        return eqx.tree_at(lambda m: m.masked_autoregressive_mlp.layers, made, layers)

    def flow(layer, transformer, params, order):
        layers = (layer(transformer, params, order, seed) for seed in (1, 2))
        first, second = layers
        chain = b.Chain([first, b.Flip((DIM,)), second])
        base = distributions.StandardNormal((DIM,))
        density = distributions.Transformed(base, chain)
        found = of_events(chain, inverse=False)
        return found | {"log-density": density.log_prob(events() / 2)}

    def lower_triangle():
        matrix = np.tril(numbers(DIM, DIM), -1) + np.eye(DIM)
        matrix = matrix * np.exp(numbers(DIM, seed=12))
        shift = numbers(DIM, seed=13)
        return of_events(b.TriangularAffine(shift, jnp.asarray(matrix, jnp.float32)))

    def planar():
        map_ = b.Planar(jax.random.key(0), dim=DIM)
        # Theirs keeps wᵀu above -1 in another way: it becomes log(1 + softplus) - 1.
        u, (_, w) = own_flows.planar_u(), own_flows.planar_numbers()
        wanted = curves.softplus_inverse(np.expm1(u @ w + 1))
        u = (u + (wanted - u @ w) / (w @ w) * w).astype(np.float32)
        given = jnp.concatenate([w, u, jnp.array([0.4])])
        return of_events(eqx.tree_at(lambda m: m.params, map_, given), inverse=False)

    def bases():
        places, scales, logits = own_flows.mixture_numbers()
        normals = eqx.filter_vmap(distributions.Normal)(places, scales)
        df = jnp.asarray(own_flows.DEGREES_OF_FREEDOM)
        found = {
            "normal": distributions.StandardNormal((3,)),
            "uniform": distributions.Uniform(-jnp.ones(3), jnp.ones(3)),
            "student_t": distributions.StudentT(df, jnp.zeros(3), jnp.ones(3)),
            "mixture": distributions.VmapMixture(normals, jnp.exp(jnp.asarray(logits))),
        }
        x = own_flows.base_points()
        return {name: base.log_prob(x) for name, base in found.items()}

    scalar = {
        "affine": b.Affine(0.7, jnp.exp(0.3)),
        "exp": b.Exp(),
        "softplus": b.SoftPlus(),
        "sigmoid": b.Sigmoid(),
        "tanh": b.Tanh(),
        "spline": spline_of(curves.spline()),
    }

    def of_map(name):
        map_ = unwrap(scalar[name])
        x = points() / (1 if name in ("affine", "spline") else 3)
        return own_flows.derivatives(
            map_.transform_and_log_det, map_.inverse_and_log_det, x
        )

    affine = affine_of(), 2, curves.swapped
    splines = spline_of(), 3 * BINS - 1, lambda net: net
    groups = {name: partial(of_map, name) for name in scalar}
    return groups | {
        "lower triangle": lower_triangle,
        "planar": planar,
        "reflection": lambda: of_events(b.Householder(numbers(DIM))),
        "affine couplings": partial(flow, coupling, *affine),
        "spline couplings": partial(flow, coupling, *splines),
        "affine autoregressive": partial(flow, masked, *affine),
        "spline autoregressive": partial(flow, masked, *splines),
        "bases": bases,
    }
