"""This project's maps, flows and bases, with the parameters that peers get too.

Only functions that are called on this project's side import it.
"""

import numpy as np

from tests.peers import curves
from tests.peers.curves import BINS, BOUND, DIM, HIDDEN, events, inside, numbers, points


def both_ways(forward, inverse, x) -> dict:
    """Return images, originals and log-determinants, from functions of one event."""
    import jax

    y, log_det = jax.jit(jax.vmap(forward))(x)
    back, back_log_det = jax.jit(jax.vmap(inverse))(y)
    return {
        "forward": y,
        "log-det": log_det,
        "inverse": back,
        "log-det of the inverse": back_log_det,
    }


def derivatives(forward, inverse, x) -> dict:
    """Return `both_ways` of a map of the line, and derivatives."""
    import jax

    slope = jax.jit(jax.vmap(jax.grad(lambda x: forward(x)[0])))(x)
    bend = jax.jit(jax.vmap(jax.grad(lambda x: forward(x)[1])))(x)
    smooth = np.abs(np.abs(x) - BOUND) > 1e-3
    return both_ways(forward, inverse, x) | {
        "derivative": slope,
        "gradient of the log-det": np.where(smooth, bend, 0),
    }


def directions(transform, raw):
    """Return both directions of a transform with parameters `raw`."""
    raw = np.asarray(raw, np.float32)
    return (
        lambda x: transform.forward_and_log_det(raw, x),
        lambda y: transform.inverse_and_log_det(raw, y),
    )


def maps(*names: str) -> dict:
    """Return the groups of the named maps of the line."""

    def group(name):
        def measured():
            from nfml_jax.bijectors import transforms as t

            nothing = np.zeros(0)
            transform, raw, x = {
                "affine": (t.Affine(), affine_numbers(), points()),
                "exp": (t.Exp(), nothing, points() / 3),
                "softplus": (t.Softplus(), nothing, points() / 3),
                "sigmoid": (t.Sigmoid(), nothing, points() / 3),
                "tanh": (t.Tanh(), nothing, points() / 3),
                "spline": (
                    t.RationalQuadratic(BINS, BOUND),
                    curves.raw_spline(),
                    points(),
                ),
            }[name]
            return derivatives(*directions(transform, raw), x)

        return measured

    return {name: group(name) for name in names}


def affine_numbers() -> np.ndarray:
    """The parameters of y = e^0.3 x + 0.7."""
    return np.array([curves.raw_log_scale(0.3), 0.7])


def circular_numbers() -> np.ndarray:
    """Parameters `[3K + 1]` of a circular spline that doesn't turn."""
    return np.append(numbers(3 * BINS), np.float32(0))


def on_circle() -> np.ndarray:
    return np.linspace(-BOUND + 0.01, BOUND - 0.01, 41).astype(np.float32)


def circular_spline():
    from nfml_jax.bijectors import RationalQuadratic

    curve = RationalQuadratic(BINS, BOUND, "circular")
    return both_ways(*directions(curve, circular_numbers()), on_circle())


def of_bijector(bijector, params, inverse=True, x=None) -> dict:
    """Return `both_ways` of a bijector of events, or only forwards."""
    variables, x = {"params": params}, events() if x is None else x

    def apply(method):
        return bijector.apply(variables, x, method=f"{method}_and_log_det")

    y, log_det = apply("forward")
    found = {"forward": y, "log-det": log_det}
    if inverse:
        x = y
        found["inverse"], found["log-det of the inverse"] = apply("inverse")
    return found


def lu(upper=True, shift=True):
    from nfml_jax.bijectors import LU

    triangles = numbers(DIM, DIM)
    params = {
        "triangles": triangles if upper else np.tril(triangles),
        "log_scale": curves.raw_log_scale(numbers(DIM, seed=12)),
        "shift": numbers(DIM, seed=13) * shift,
    }
    return of_bijector(LU(), params)


def lower_triangle():
    return lu(upper=False)


def lu_without_shift():
    return lu(shift=False)


def planar():
    from nfml_jax.bijectors import Planar

    u, w = planar_numbers()
    return of_bijector(Planar(), {"u": u, "w": w, "b": np.float32(0.4)}, inverse=False)


def planar_numbers() -> tuple[np.ndarray, np.ndarray]:
    return numbers(DIM, seed=14), numbers(DIM, seed=15)


def planar_u() -> np.ndarray:
    """The u of the map itself, whose product with w is kept above -1."""
    u, w = (x.astype(float) for x in planar_numbers())
    most = 1 - curves.LEAST
    strength = np.logaddexp(0, u @ w + np.log(np.expm1(most))) - most
    return u + (strength - u @ w) / (w @ w) * w


def reflection():
    from nfml_jax.bijectors import Householder

    return of_bijector(Householder(reflections=1), {"vectors": numbers(1, DIM)})


def rotation():
    from nfml_jax.bijectors import MatrixExponential

    skew = numbers(DIM, DIM) - numbers(DIM, DIM).T
    # The exponent is scaled so that its norm stays under the greatest log-scale.
    size = np.sum(skew**2) / curves.MOST_LOG_SCALE**2
    params = {
        "exponent": skew / np.sqrt(1 - size),
        "log_scale": np.zeros(0),
        "shift": np.zeros(DIM),
    }
    return of_bijector(MatrixExponential(), params)


def of_flow(bijector, params) -> dict:
    """Return the density of points and the images of base points."""
    from nfml_jax.flows import Flow
    from nfml_jax.flows.bases import Normal

    flow = Flow(bijector=bijector, base=Normal(DIM), event_dim=DIM)
    found = of_bijector(bijector, params, inverse=False)
    found["log-density"] = flow.apply({"params": {"bijector": params}}, events() / 2)
    return found


def couplings(transform, params: int) -> dict:
    """Two couplings, the coordinates reversed between."""
    from nfml_jax.bijectors import Chain, Coupling, Reverse
    from nfml_jax.nets.conditioners import MLP

    # Two layers, and not one twice, which would share its parameters.
    one, two = (Coupling(transform, MLP(hidden=(HIDDEN,))) for _ in range(2))

    def held(seed):
        first, bias, last, shift = curves.network(DIM // 2, DIM // 2 * params, seed)
        dense, out = {"kernel": first, "bias": bias}, {"kernel": last, "bias": shift}
        return {"conditioner": {"Dense_0": dense, "out": out}}

    given = {"bijectors_0": held(1), "bijectors_2": held(2)}
    return of_flow(Chain((one, Reverse(), two)), given)


def affine_couplings():
    from nfml_jax.bijectors import Affine

    return couplings(Affine(), 2)


def spline_couplings():
    from nfml_jax.bijectors import RationalQuadratic

    return couplings(RationalQuadratic(BINS, BOUND), 3 * BINS - 1)


def autoregressive(transform, params: int) -> dict:
    """Two inverse autoregressive maps, the coordinates reversed between."""
    from nfml_jax.bijectors import Autoregressive, Chain, Reverse
    from nfml_jax.nets.made import MADE

    one, two = (Autoregressive(transform, MADE(hidden=(HIDDEN,))) for _ in range(2))

    def held(seed):
        names = "kernel_0", "bias_0", "kernel_1", "bias_1"
        net = curves.masked_network(params, seed)
        return {"conditioner": dict(zip(names, net, strict=True))}

    given = {"bijectors_0": held(1), "bijectors_2": held(2)}
    return of_flow(Chain((one, Reverse(), two)), given)


def affine_autoregressive():
    from nfml_jax.bijectors import Affine

    return autoregressive(Affine(), 2)


def spline_autoregressive():
    from nfml_jax.bijectors import RationalQuadratic

    return autoregressive(RationalQuadratic(BINS, BOUND), 3 * BINS - 1)


def with_networks() -> dict:
    """Return the groups of the maps whose parameters networks give."""
    return {
        "affine couplings": affine_couplings,
        "spline couplings": spline_couplings,
        "affine autoregressive": affine_autoregressive,
        "spline autoregressive": spline_autoregressive,
    }


NO_LEAST_SLOPE = 1e-12  # of maps that mix a little of the identity in
SQUARES, DEGREE, COMPONENTS = 3, 4, 6


def sum_of_squares():
    from nfml_jax.bijectors import SumOfSquares

    curve = SumOfSquares(SQUARES, DEGREE, bound=BOUND, min_slope=NO_LEAST_SLOPE)
    raw = np.append(np.float32(0), numbers(SQUARES * (DEGREE + 1)))
    return both_ways(*directions(curve, raw), inside())


def bernstein():
    from nfml_jax.bijectors import Bernstein

    curve = Bernstein(8, BOUND, min_slope=NO_LEAST_SLOPE)
    return both_ways(*directions(curve, numbers(8)), inside())


def mixture_of_gaussians():
    from nfml_jax.bijectors import MixtureOfGaussians

    curve = MixtureOfGaussians(COMPONENTS, spread=0.0, min_slope=NO_LEAST_SLOPE)
    log_scales, places = numbers(COMPONENTS), numbers(COMPONENTS, seed=16)
    outer, logits = np.zeros(2), np.zeros(COMPONENTS)
    raw = np.concatenate([outer, logits, curves.raw_log_scale(log_scales), places])
    return both_ways(*directions(curve, raw), inside())


def base_points() -> np.ndarray:
    """Points `[15, 3]` inside and outside a unit box."""
    return points().reshape(-1, 3) / 3


def mixture_numbers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means and scales `[4, 3]` and logits `[4]` of a mixture of normals."""
    return numbers(4, 3), np.exp(numbers(4, 3, seed=17)), numbers(4, seed=18)


def angle_numbers() -> tuple[np.ndarray, np.ndarray]:
    """Places and concentrations `[3]` of angles."""
    return numbers(3), np.exp(numbers(3, seed=19))


DEGREES_OF_FREEDOM = np.array([1.5, 3.0, 30.0], np.float32)


def bases(*names: str) -> dict:
    """Return the log-densities of the named bases."""
    from nfml_jax.flows import bases as b

    means, scales, logits = mixture_numbers()
    loc, concentration = angle_numbers()
    raw = curves.raw_log_scale
    mixture = {"logits": logits, "mean": means, "log_scale": raw(np.log(scales))}
    given = {
        "normal": (b.Normal(3), {}),
        "uniform": (b.Uniform(3, -1.0, 1.0), {}),
        "student_t": (b.StudentT(3), {"df": raw(np.log(DEGREES_OF_FREEDOM / 5.0))}),
        "mixture": (b.GaussianMixture(3, 4), mixture),
        "angles": (
            b.VonMises(3),
            {"loc": loc, "log_kappa": raw(np.log(concentration))},
        ),
    }
    return {
        name: base.apply({"params": params}, None).log_prob(base_points())
        for name, (base, params) in given.items()
        if name in names
    }
