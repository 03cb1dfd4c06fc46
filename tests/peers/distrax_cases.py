"""Scalar maps, linear maps, couplings and bases beside distrax."""

from functools import partial

import numpy as np

from tests.peers import curves, own_flows
from tests.peers.curves import BINS, BOUND, DIM, LEAST, events, numbers, points

PEER, ENVIRONMENT = "distrax", None
EXPLAINED = {}


def ours():
    return own_flows.maps("affine", "exp", "softplus", "sigmoid", "tanh", "spline") | {
        "circular spline": own_flows.circular_spline,
        "LU": own_flows.lu,
        "affine couplings": own_flows.affine_couplings,
        "spline couplings": own_flows.spline_couplings,
        "bases": partial(own_flows.bases, "normal", "uniform", "angles", "mixture"),
    }


def theirs():
    import distrax
    import jax
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    def of_tfp(name):
        return distrax.as_bijector(getattr(tfp.bijectors, name)())

    def spline(raw, boundary="identity", low=-BOUND, high=BOUND):
        """Return the spline of this project's parameters `[..., 3K - 1]` or more."""
        raw = jnp.asarray(raw, jnp.float32)
        sizes, slopes = raw[..., : 2 * BINS], raw[..., 2 * BINS :]
        if boundary == "identity":
            slopes = jnp.pad(slopes, [(0, 0)] * (raw.ndim - 1) + [(1, 1)])
        # Their slope is s = min + softplus(raw + offset).
        free = (1 - LEAST) * jax.nn.softplus(slopes) / np.log(2.0)
        slopes = curves.softplus_inverse(free) - np.log(np.expm1(1 - LEAST))
        return distrax.RationalQuadraticSpline(
            jnp.concatenate([sizes, slopes], -1),
            low,
            high,
            boundary_slopes=boundary,
            min_bin_size=(high - low) * LEAST,
            min_knot_slope=LEAST,
        )

    def conditioner(net, params):
        first, bias, last, shift = map(jnp.asarray, net)

        def of(x):
            out = jax.nn.relu(x @ first + bias) @ last + shift
            return out.reshape(*out.shape[:-1], -1, params)

        return of

    def affine(raw):
        log_scale = curves.MOST_LOG_SCALE * jnp.tanh(
            raw[..., 0] / curves.MOST_LOG_SCALE
        )
        return distrax.ScalarAffine(raw[..., 1], log_scale=log_scale)

    def couplings(make, params):
        def one(seed):
            net = curves.network(DIM // 2, DIM // 2 * params, seed)
            return distrax.SplitCoupling(DIM // 2, 1, conditioner(net, params), make)

        turn = distrax.Lambda(
            forward=lambda x: x[..., ::-1],
            inverse=lambda y: y[..., ::-1],
            forward_log_det_jacobian=lambda x: jnp.zeros(x.shape[:-1]),
            inverse_log_det_jacobian=lambda y: jnp.zeros(y.shape[:-1]),
            event_ndims_in=1,
            is_constant_jacobian=True,
        )
        # A chain applies the last one first.
        chain = distrax.Chain([one(2), turn, one(1)])
        base = distrax.MultivariateNormalDiag(jnp.zeros(DIM), jnp.ones(DIM))
        flow = distrax.Transformed(base, chain)
        z, x = events(), events() / 2
        y, log_det = chain.forward_and_log_det(z)
        return {"forward": y, "log-det": log_det, "log-density": flow.log_prob(x)}

    def circular():
        raw = own_flows.circular_numbers()
        closed = np.concatenate([raw[:-1], raw[2 * BINS : 2 * BINS + 1]])
        map_ = spline(closed, "circular")
        x = own_flows.on_circle()
        return own_flows.both_ways(
            map_.forward_and_log_det, map_.inverse_and_log_det, x
        )

    def lu():
        triangles, scale = numbers(DIM, DIM), np.exp(numbers(DIM, seed=12))
        upper = scale[:, None] * (np.triu(triangles, 1) + np.eye(DIM))
        matrix = np.tril(triangles, -1) + upper
        map_ = distrax.LowerUpperTriangularAffine(
            jnp.asarray(matrix), jnp.asarray(numbers(DIM, seed=13))
        )
        return own_flows.both_ways(
            map_.forward_and_log_det, map_.inverse_and_log_det, events()
        )

    def bases():
        places, scales, logits = own_flows.mixture_numbers()
        loc, concentration = own_flows.angle_numbers()
        normal, uniform = jnp.zeros(3), jnp.ones(3)
        found = {
            "normal": distrax.MultivariateNormalDiag(normal, uniform),
            "uniform": distrax.Independent(distrax.Uniform(-uniform, uniform), 1),
            "angles": distrax.Independent(distrax.VonMises(loc, concentration), 1),
            "mixture": distrax.MixtureSameFamily(
                distrax.Categorical(logits=jnp.asarray(logits)),
                distrax.MultivariateNormalDiag(jnp.asarray(places), scales),
            ),
        }
        x = own_flows.base_points()
        return {name: base.log_prob(x) for name, base in found.items()}

    scalar = {
        "affine": distrax.ScalarAffine(0.7, np.e**0.3),
        "exp": of_tfp("Exp"),
        "softplus": of_tfp("Softplus"),
        "sigmoid": distrax.Sigmoid(),
        "tanh": distrax.Tanh(),
        "spline": spline(curves.raw_spline()),
    }
    groups = {
        name: partial(
            own_flows.derivatives,
            map_.forward_and_log_det,
            map_.inverse_and_log_det,
            points() / (1 if name in ("affine", "spline") else 3),
        )
        for name, map_ in scalar.items()
    }
    return groups | {
        "circular spline": circular,
        "LU": lu,
        "affine couplings": partial(couplings, affine, 2),
        "spline couplings": partial(couplings, spline, 3 * BINS - 1),
        "bases": bases,
    }
