"""Functions of an angle, against numpy in float64 and at the ends of their domain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.ops import angles

THETA = np.linspace(0.0, np.pi, 1001)


def test_sine_and_angle_in_double_precision():
    with jax.enable_x64(True):
        cosine = jnp.cos(THETA)
        np.testing.assert_allclose(angles.sine(cosine), np.sin(THETA), atol=2e-8)
        np.testing.assert_allclose(angles.angle(cosine), THETA, atol=2e-8)


@pytest.mark.parametrize("function", [angles.sine, angles.angle])
def test_values_at_the_ends_are_exact_with_finite_slopes(function):
    ends = jnp.array([1.0, -1.0])
    value, slope = jax.vmap(jax.value_and_grad(function))(ends)
    expected = np.sin([0.0, 0.0]) if function is angles.sine else [0.0, np.pi]
    np.testing.assert_allclose(value, expected, rtol=1e-7)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("multiple", [1, 2, 3, 5, 1.0, 1.7, 2.5])
def test_multiple_angle(multiple):
    with jax.enable_x64(True):
        cosine, sine = angles.multiple_angle(jnp.cos(THETA), multiple)
    np.testing.assert_allclose(cosine, np.cos(multiple * THETA), atol=1e-6)
    np.testing.assert_allclose(sine, np.sin(multiple * THETA), atol=1e-6)


def test_direction_and_norm_make_up_the_vector():
    vectors = jnp.array([[3.0, 4.0], [1e-5, 0.0], [1e-9, 0.0], [0.0, 0.0]])

    def whole(v):
        direction, norm = angles.direction_and_norm(v)
        return direction * norm[..., None]

    np.testing.assert_allclose(whole(vectors), vectors, rtol=1e-6)
    jacobian = jax.jit(jax.vmap(jax.jacobian(whole)))(vectors)
    np.testing.assert_allclose(jacobian, np.stack([np.eye(2)] * 4), atol=1e-6)
    direction, norm = angles.direction_and_norm(vectors)
    np.testing.assert_allclose(norm[:2], [5.0, 1e-5], rtol=1e-6)
    np.testing.assert_allclose(direction[:2], [[0.6, 0.8], [1.0, 0.0]], rtol=1e-6)


def test_a_negative_shift_is_clamped_at_zero_or_continued():
    shift = np.array([-0.4, -0.1, 0.0, 0.3])[:, None]
    with jax.enable_x64(True):
        cosine = jnp.cos(THETA)
        clamped, linear, plain = (
            angles.shifted_cosine(cosine, 1, jnp.asarray(shift), beyond_pi)
            for beyond_pi in ("clamp", "linear", "none")
        )
    inside = np.clip(THETA + shift, 0, np.pi)
    np.testing.assert_allclose(clamped, np.cos(inside), atol=1e-7)
    assert (np.diff(linear) < 0).all() and (np.diff(linear[:3]) > -0.01).all()
    between = inside == THETA + shift
    np.testing.assert_allclose(linear[between], plain[between], atol=1e-7)
    np.testing.assert_allclose(plain, np.cos(THETA + shift), atol=1e-7)
