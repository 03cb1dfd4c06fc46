"""ActNorm is initialized by data; batch norm follows its statistics."""

import jax
import numpy as np
import pytest

from nfml_jax.bijectors import (
    ActNorm,
    BatchNormalization,
    Chain,
    Inverse,
    Permutation,
    Stack,
    fit_statistics,
)
from nfml_jax.flows import Flow
from nfml_jax.flows.bases import Normal

INVERSE = "inverse_and_log_det"


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return np.float32(rng.normal([5, -2, 0], [3, 0.1, 1e-3], (64, 3)))


@pytest.mark.parametrize("direction", ["forward_and_log_det", INVERSE])
def test_act_norm_standardizes_its_first_batch_in_either_direction(x, direction):
    variables = ActNorm().init(jax.random.key(0), x, method=direction)
    y, log_det = ActNorm().apply(variables, x, method=direction)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-3)
    np.testing.assert_allclose(log_det, -np.log(x.std(0)).sum(), rtol=1e-4)


def test_act_norm_is_initialized_by_data_in_each_layer_of_a_stack(x):
    stack = Stack(Chain([Permutation(), ActNorm()]), 3)
    y, variables = stack.init_with_output(jax.random.key(0), x, method=INVERSE)
    np.testing.assert_allclose(y[0].std(0), 1, atol=1e-3)
    log_scale = variables["params"]["layer"]["bijectors_1"]["log_scale"]
    assert log_scale.shape == (3, 3)
    # The scan is reversed: the last layer sees the data, and the others its output.
    np.testing.assert_allclose(log_scale[:2], 0, atol=1e-3)
    assert np.abs(log_scale[2]).max() > 1


@pytest.mark.parametrize("rows", [np.zeros((4, 2)), np.full((4, 2), 1e4 / 3)])
def test_act_norm_is_finite_for_constant_coordinates(rows):
    rows = np.float32(rows)
    y, _ = ActNorm().init_with_output(jax.random.key(0), rows)
    np.testing.assert_allclose(y[0], 0, atol=1e-2)
    np.testing.assert_allclose(y[1], 0, atol=1e-6)


def test_act_norm_of_a_single_row_is_the_identity(x):
    (y, log_det), _ = ActNorm().init_with_output(jax.random.key(0), x[:1])
    np.testing.assert_array_equal(y, x[:1])
    assert log_det == 0


def test_batch_norm_uses_the_batch_while_its_statistics_are_mutable(x):
    norm = BatchNormalization(momentum=0.9)
    variables = norm.init(jax.random.key(0), x, method=INVERSE)
    still, _ = norm.apply(variables, x, method=INVERSE)
    np.testing.assert_allclose(still, x, rtol=1e-4)

    def observe(variables, x):
        return norm.apply(variables, x, method=INVERSE, mutable=["batch_stats"])

    (y, log_det), updated = observe(variables, x)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(y, expected, atol=1e-4)
    np.testing.assert_allclose(log_det, -0.5 * np.log(x.var(0) + 1e-5).sum(), rtol=1e-4)
    # A mean of the first batches, and then one that forgets.
    mean = updated["batch_stats"]["mean"]
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-6)
    for _ in range(19):
        _, updated = observe({**variables, **updated}, 2 * x)
    after = updated["batch_stats"]["mean"] / x.mean(0)
    old = 0.1 * 0.9**10
    np.testing.assert_allclose(after, 2 - old, rtol=1e-4)
    # Back by the running statistics.
    variables = {**variables, **updated}
    z, _ = norm.apply(variables, x, method=INVERSE)
    np.testing.assert_allclose(norm.apply(variables, z)[0], x, atol=1e-4)


def test_fit_statistics_gives_those_of_the_train_set(x):
    layers = Stack(Chain([Permutation(), BatchNormalization()]), 2)
    flow = Flow(layers, Normal(3), 3)
    variables = flow.init(jax.random.key(0), x)
    for batch in (x[:7], x[20:30]):
        _, seen = flow.apply(variables, batch, mutable=["batch_stats"])
        variables = {**variables, **seen}
    fitted = fit_statistics(flow, variables, x)
    of_batch, _ = flow.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(flow.apply(fitted, x), of_batch, rtol=1e-5)
    last = jax.tree.map(lambda v: v[1], fitted["batch_stats"]["bijector"]["layer"])
    np.testing.assert_allclose(
        last["bijectors_1"]["mean"], x.mean(0), rtol=1e-5, atol=1e-6
    )


def test_batch_norm_uses_the_batches_of_all_devices(x):
    norm = BatchNormalization(axis_name="devices")
    variables = BatchNormalization().init(jax.random.key(0), x)

    def observe(x):
        return norm.apply(variables, x, method=INVERSE, mutable=["batch_stats"])

    (y, _), _ = jax.vmap(observe, axis_name="devices")(x.reshape(4, 16, 3))
    (whole, _), _ = BatchNormalization().apply(
        variables, x, method=INVERSE, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(y.reshape(-1, 3), whole, atol=2e-5)


def test_inverse_batch_norm_normalizes_forward(x):
    norm = Inverse(BatchNormalization())
    variables = norm.init(jax.random.key(0), x)
    (y, _), _ = norm.apply(variables, x, mutable=["batch_stats"])
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)
