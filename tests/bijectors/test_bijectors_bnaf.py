"""Block neural autoregressive flows, beyond the laws of all bijectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import BlockAutoregressive
from nfml_jax.errors import UserError


def events(dims=3, dtype=np.float64):
    return np.random.default_rng(0).normal(size=(4, dims)).astype(dtype)


def drawn(bnaf, x, context=None, spread=0.5, seed=0):
    """Variables drawn by numpy, which compiles nothing."""
    init = lambda x, c: bnaf.init(jax.random.key(0), x, c)  # noqa: E731
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: jnp.asarray(spread * rng.normal(size=p.shape), p.dtype),
        jax.eval_shape(init, x, context),
    )


def test_inverse_without_a_residual():
    with jax.enable_x64(True):
        bnaf = BlockAutoregressive(hidden=3, layers=2, residual="none")
        x, context = jnp.asarray(events(3)), jnp.asarray(events(2))[:, None]

        @jax.jit
        def there_and_back(variables):
            y, forth = bnaf.apply(variables, x, context)
            again, back = bnaf.apply(
                variables, y, context, method="inverse_and_log_det"
            )
            return again, forth + back

        again, log_det = there_and_back(drawn(bnaf, x, context))
        assert again.shape == (4, 4, 3)
        np.testing.assert_allclose(again, np.broadcast_to(x, again.shape), atol=1e-10)
        np.testing.assert_allclose(log_det, 0, atol=1e-10)


@pytest.mark.parametrize("options", [{"layers": 2}, {"layers": 0, "residual": "plain"}])
def test_coordinates_depend_on_earlier_ones_and_are_increasing(options):
    with jax.enable_x64(True):
        bnaf = BlockAutoregressive(hidden=2, **options)
        x = events(4)[0]

        def forward(variables, x):
            y, log_det = bnaf.apply(variables, x)
            return y, log_det

        jacobian, log_det = jax.jit(jax.jacfwd(forward, 1, has_aux=True))(
            drawn(bnaf, x), x
        )
        assert log_det.shape == ()
        np.testing.assert_allclose(log_det, np.log(np.diag(jacobian)).sum())
        np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
        assert (np.abs(jacobian)[np.tril_indices(4)] > 0).all()


def test_log_det_and_its_gradient_are_finite_where_tanh_is_flat():
    bnaf = BlockAutoregressive(hidden=4, residual="none")
    x = 1e4 * events(dtype=np.float32)

    def log_det(variables, x):
        return bnaf.apply(variables, x)[1].sum()

    total = jax.jit(jax.value_and_grad(log_det, (0, 1)))
    value, gradients = total(drawn(bnaf, x), x)
    assert np.isfinite(value) and value < -1e3
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_gradients_of_the_inverse_are_those_of_differences():
    with jax.enable_x64(True):
        bnaf = BlockAutoregressive(hidden=3)
        y = jnp.asarray(events())
        here, there = drawn(bnaf, y), drawn(bnaf, y, seed=1)

        def total(step):
            moved = jax.tree.map(lambda a, b: a + step * (b - a), here, there)
            return jnp.sin(bnaf.apply(moved, y, method="inverse")).sum()

        along = jax.jit(jax.vmap(jax.value_and_grad(total)))
        (_, ahead, behind), (slope, *_) = along(jnp.array([0.0, 1e-5, -1e-5]))
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-6)


def test_unknown_residual_raises_one_sentence():
    with pytest.raises(UserError, match="one of 'gated', 'plain', 'none'"):
        drawn(BlockAutoregressive(residual="skip"), jnp.ones((2, 3)))
