"""Autoregressive maps: every solver inverts exactly, with the implicit gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Affine, Autoregressive, Chain, Reverse, Stack
from nfml_jax.bijectors.fixed_point import jacobi
from nfml_jax.errors import UserError
from nfml_jax.nets.made import MADE
from nfml_jax.testing import check_bijector

N, D = 5, 6
GRAPH = np.zeros((D, D), bool)
GRAPH[[1, 3, 3, 4, 0], [2, 1, 5, 2, 4]] = True

SOLVERS = {
    "scan": {"solver": "scan"},
    "jacobi": {"solver": "jacobi"},
    "blocks": {"solver": "gs_jacobi", "block": 4},
}


def events(dtype=np.float32, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(N, D)).astype(dtype))


def drawn(bijector, x, context=None, spread=0.5):
    """Variables drawn by numpy, which compiles nothing."""
    init = lambda x, c: bijector.init(jax.random.key(0), x, c)  # noqa: E731
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(spread * rng.normal(size=p.shape), p.dtype),
        jax.eval_shape(init, x, context),
    )


# A stack and an autoregressive map have laws of their own.
@pytest.mark.slow
def test_laws_of_a_stack():
    made = MADE(hidden=(8,))
    bijector = Stack(Chain([Autoregressive(Affine(), made), Reverse()]), 2)
    x, context = events(), events(seed=1)[:, :2]
    variables = drawn(bijector, x, context)
    check_bijector(bijector, x, context, variables=variables, eager=False)


@pytest.mark.parametrize(
    "structure", [{"order": (3, 1, 0, 5, 2, 4)}, {"adjacency": GRAPH}]
)
def test_solvers_agree_in_values_and_gradients(structure):
    """With parameters so large that Jacobi iterates pass through infinity."""
    with jax.enable_x64(True):
        y = events(np.float64)
        weights = events(np.float64, 2)
        made = MADE(hidden=(9, 9), **structure)
        layer = Autoregressive(Affine(), made)
        variables = drawn(layer, y, spread=2.0)

        def through_the_steps(variables, y):
            x = jnp.zeros_like(y)
            for _ in range(D):
                raw = made.apply(
                    {"params": variables["params"]["conditioner"]}, x, None, 2
                )
                x = Affine().inverse_and_log_det(raw, y)[0]
            return x

        def loss(inverse):
            def of(variables, y):
                x = inverse(variables, y)
                return (weights * jnp.sin(x)).sum(), x

            return of

        inverses = {"steps": through_the_steps} | {
            name: lambda variables, y, o=options: Autoregressive(
                Affine(), made, **o
            ).apply(variables, y, method="inverse")
            for name, options in SOLVERS.items()
        }

        @jax.jit
        def measure(variables, y):
            return {
                name: jax.grad(loss(inverse), (0, 1), has_aux=True)(variables, y)
                for name, inverse in inverses.items()
            }

        results = measure(variables, y)
        expected = results.pop("steps")
        for result in results.values():
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(
                    a, b, rtol=1e-6, atol=1e-6 * np.abs(b).max()
                ),
                result,
                expected,
            )


def test_second_derivatives_equal_those_through_the_steps():
    with jax.enable_x64(True):
        y = events(np.float64)[:1]
        made = MADE(hidden=(8,), activation=jnp.tanh)
        layer = Autoregressive(Affine(), made, solver="jacobi")
        variables = drawn(layer, y)

        def hessian(y):
            inverse = lambda y: layer.apply(variables, y, method="inverse")  # noqa: E731
            return jax.jacrev(jax.jacfwd(lambda y: inverse(y).sum()))(y)

        def by_differences(y, step=1e-5):
            def gradient(y):
                inverse = layer.apply(variables, y, method="inverse")
                return inverse.sum()

            directions = step * jnp.eye(D)[:, None]
            slope = jax.vmap(jax.grad(gradient))
            return (slope(y + directions) - slope(y - directions)) / (2 * step)

        actual, expected = jax.jit(lambda y: (hessian(y), by_differences(y)))(y)
        np.testing.assert_allclose(actual[0, :, 0], expected[:, 0], atol=1e-7)


def test_jacobi_ends_at_convergence_or_after_all_levels():
    """Starts may be far off, and iterates may overflow."""

    def chain(gain):
        def sweep(x):
            before = jnp.concatenate([jnp.zeros(1), x[:-1]])
            return jnp.ones(D) + gain * before

        return sweep

    for gain, most in ((0.0, 2), (1e-9, 4), (3.0, D), (1e30, D)):
        x, sweeps = jacobi(chain(gain), jnp.full(D, jnp.inf), D, 8.0, jnp.ones(D))
        assert sweeps <= most
        np.testing.assert_allclose(x[:2], [1, 1 + gain], rtol=1e-6)
        if gain < 1e9:
            np.testing.assert_allclose(x, np.cumsum(gain ** np.arange(D)), rtol=1e-6)


@pytest.mark.parametrize("options", SOLVERS.values(), ids=SOLVERS)
def test_low_precision_conditioners_and_nan_in_events(options):
    """The inverse rounds as the map does, and NaN stays in its event."""
    y = events().at[1, 2].set(jnp.nan)
    made = MADE(hidden=(16,), dtype=jnp.bfloat16)
    layer = Autoregressive(Affine(), made, **options)

    variables = drawn(layer, y)

    @jax.jit
    def there_and_back(variables, y):
        x, log_det = layer.apply(variables, y, method="inverse_and_log_det")
        return x, log_det, layer.apply(variables, x)[0]

    x, log_det, again = there_and_back(variables, y)
    good = np.arange(N) != 1
    np.testing.assert_array_equal(jnp.isfinite(x).all(1), good)
    np.testing.assert_array_equal(jnp.isfinite(log_det), good)
    np.testing.assert_allclose(again[good], y[good], atol=1e-5)


def test_unknown_solvers_and_blocks_raise_one_sentence():
    for options, says in (
        ({"solver": "newton"}, "one of 'gs_jacobi', 'scan', 'jacobi'"),
        ({"block": 0}, "block=0"),
    ):
        with pytest.raises(UserError, match=says):
            layer = Autoregressive(Affine(), MADE(hidden=(8,)), **options)
            layer.init(jax.random.key(0), events())
