"""Planar, radial and Sylvester flows are invertible for all parameters."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Planar, Radial, Sylvester
from nfml_jax.errors import UserError
from nfml_jax.testing import finite_gradients, perturb
from tests.slow import slow

FLOWS = {
    "planar": Planar(),
    "radial": Radial(),
    "sylvester": Sylvester("orthogonal", rank=2),
}
SIZE = 3


@pytest.mark.parametrize("name", slow(FLOWS, ["planar", "radial"]))
def test_inverse_and_gradients_for_extreme_parameters_and_events(name):
    bijector = FLOWS[name]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, SIZE))
    x[:4] *= 1e4
    x[4] = 0

    def inverse(variables, y, context):
        return bijector.apply(variables, y, context, method="inverse_and_log_det")

    @jax.jit
    def both(spread):
        # Many parameters at once, from none to extreme ones.
        start = bijector.init(jax.random.key(0), x)["params"]

        def one(key, spread):
            variables = {"params": perturb(start, key, spread)}
            y, log_det = bijector.apply(variables, x)
            finite = finite_gradients(bijector.apply, variables, x)
            finite_back = finite_gradients(inverse, variables, y)
            return y, log_det, *inverse(variables, y, None), finite, finite_back

        return jax.vmap(one)(jax.random.split(jax.random.key(1), spread.size), spread)

    with jax.enable_x64(True):
        spread = np.asarray([0.0, 1.0, 5.0, 5.0, 20.0])
        y, log_det, x_back, back, *finite = jax.device_get(both(spread))
    assert np.isfinite(y).all() and np.isfinite(log_det).all()
    assert all(np.all(leaf) for leaf in jax.tree.leaves(finite))
    np.testing.assert_allclose(y[0], x, atol=1e-12)
    error = np.abs(x_back - x) / (1 + np.abs(x) + np.abs(y))
    assert error.max() < 1e-7
    # The log-determinants cancel where the inverse is not ill-conditioned.
    np.testing.assert_allclose(back[:2], -log_det[:2], atol=1e-6)


def test_planar_flows_are_increasing_for_any_parameters():
    x = np.linspace(-3, 3, 201)[:, None]
    params = {"u": np.full(1, -50.0), "w": np.full(1, 2.0), "b": np.zeros(())}
    y, log_det = jax.jit(Planar().apply)({"params": params}, x)
    assert (np.diff(y[:, 0]) > 0).all() and np.isfinite(log_det).all()


def test_a_planar_flow_with_zero_direction_is_a_shift():
    params = {"u": np.ones(2), "w": np.zeros(2), "b": np.ones(())}
    x = np.ones((1, 2))
    y, log_det = jax.jit(Planar().apply)({"params": params}, x)
    np.testing.assert_allclose(y, x + np.tanh(1), rtol=1e-6)
    assert log_det == 0
    finite = jax.jit(partial(finite_gradients, Planar().apply))({"params": params}, x)
    assert all(jax.tree.leaves(finite))


def test_a_radial_flow_has_a_gradient_at_its_center():
    params = {
        "centre": np.ones(2),
        "log_alpha": np.zeros(()),
        "ratio": np.full((), 2.0),
    }
    jacobian = jax.jit(jax.jacobian(lambda x: Radial().apply({"params": params}, x)[0]))
    at_center, near = jacobian(np.ones(2)), jacobian(np.ones(2) + 1e-4)
    np.testing.assert_allclose(at_center, near, atol=1e-2)
    assert at_center[0, 0] > 1.5


def test_unknown_basis_raises_a_sentence_with_its_name():
    with pytest.raises(UserError, match="basis='björck'; expected one of"):
        Sylvester("björck").init(jax.random.key(0), jnp.zeros((1, 2)))
