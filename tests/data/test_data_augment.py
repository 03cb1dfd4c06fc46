"""Augmentation moves what it should by what it says, each image by its own key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.data import augment, to_float
from nfml_jax.errors import UserError

SETTINGS = {"shift": 2.0, "rotate": 20.0, "scale": 0.2, "shear": 0.3}
KEYS = jax.random.split(jax.random.key(0), 6)


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(1), (6, 9, 8, 3))


@pytest.fixture(scope="module")
def jitted():
    return jax.jit(lambda images, keys: augment(images, keys, **SETTINGS))


def test_to_float_spans_minus_one_to_one():
    values = to_float(np.arange(256, dtype=np.uint8))
    assert values.dtype == jnp.float32
    assert (float(values[0]), float(values[255])) == (-1.0, 1.0)
    np.testing.assert_allclose(np.diff(values), 2 / 255, atol=1e-6)


def test_zero_settings_are_the_exact_identity(images):
    np.testing.assert_array_equal(augment(images, KEYS), images)


def test_settings_near_zero_are_nearly_the_identity(images):
    moved = augment(images, KEYS, shift=1e-4, rotate=1e-3, scale=1e-4)
    np.testing.assert_allclose(moved, images, atol=2e-3)


def test_an_image_s_result_depends_on_its_key_alone(images, jitted):
    whole = jitted(images, KEYS)
    order = jnp.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_array_equal(jitted(images[order], KEYS[order]), whole[order])
    halves = [jitted(images[s], KEYS[s]) for s in np.split(np.arange(6), 2)]
    np.testing.assert_allclose(jnp.concatenate(halves), whole, atol=1e-5)
    assert (jnp.abs(jitted(images, KEYS[::-1]) - whole) > 1e-2).any()


@pytest.mark.parametrize(
    ("name", "value"), [("scale", 1.0), ("shift", -1.0), ("rotate", float("nan"))]
)
def test_settings_that_cannot_be_are_named(images, name, value):
    with pytest.raises(UserError, match=f"augment.{name}={value}"):
        augment(images, KEYS, **{name: value})


@pytest.mark.parametrize("name", SETTINGS)
def test_constant_images_stay_and_values_stay_in_range(name, images):
    one = augment(jnp.full((6, 9, 8, 1), 0.3), KEYS, **{name: SETTINGS[name]})
    np.testing.assert_allclose(one, 0.3, atol=1e-6)
    moved = augment(images, KEYS, **{name: SETTINGS[name]})
    assert moved.min() >= images.min() - 1e-6 and moved.max() <= images.max() + 1e-6


def plane(height=15, width=11, dtype=jnp.float32):
    """An image whose two channels are the row and the column of each pixel."""
    rows, columns = jnp.mgrid[:height, :width]
    return jnp.stack([rows, columns], -1).astype(dtype)


def maps(dtype=jnp.float32, **settings):
    """For each key, the linear map and offset by which result pixels find their source.

    Fitted by least squares inside the image, which bilinear sampling of a plane leaves
    exact.
    """
    image = plane(dtype=dtype)
    keys = jax.random.split(jax.random.key(2), 64)
    move = jax.jit(lambda images, keys: augment(images, keys, **settings))
    moved = np.asarray(move(jnp.stack([image] * 64), keys), float)
    inside = np.s_[5:10, 4:7]
    center = np.array([7.0, 5.0])
    x = np.asarray(image, float)[inside].reshape(-1, 2) - center
    design = np.c_[x, np.ones(len(x))]
    fits = [
        np.linalg.lstsq(design, m[inside].reshape(-1, 2) - center, rcond=None)
        for m in moved
    ]
    assert max(residue.max() for _, residue, *_ in fits) < 1e-6
    solution = np.stack([fit[0] for fit in fits])
    return solution[:, :2].transpose(0, 2, 1), solution[:, 2]


def test_shift_moves_both_axes_up_to_its_limit_and_nothing_else():
    linear, offset = maps(shift=2.0)
    np.testing.assert_allclose(
        linear, np.broadcast_to(np.eye(2), (64, 2, 2)), atol=1e-4
    )
    assert (np.abs(offset) <= 2.0001).all()
    assert (offset.max(0) > 1.5).all() and (offset.min(0) < -1.5).all()


def test_rotate_turns_about_the_center_up_to_its_limit_and_nothing_else():
    linear, offset = maps(rotate=20.0)
    np.testing.assert_allclose(offset, 0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.det(linear), 1, atol=1e-4)
    product = linear @ linear.transpose(0, 2, 1)
    np.testing.assert_allclose(
        product, np.broadcast_to(np.eye(2), (64, 2, 2)), atol=1e-4
    )
    angle = np.rad2deg(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert angle.max() > 15 and angle.min() < -15 and np.abs(angle).max() <= 20.01


def test_scale_is_about_the_center_and_means_the_object_s_size():
    linear, offset = maps(scale=0.2)
    np.testing.assert_allclose(offset, 0, atol=1e-4)
    size = 1 / linear[:, 0, 0]
    expected = np.eye(2) / size[:, None, None]
    np.testing.assert_allclose(linear, expected, atol=1e-4)
    assert size.max() > 1.15 and size.min() < 0.85
    assert size.max() <= 1.2001 and size.min() >= 0.7999


def test_shear_slides_rows_along_themselves_up_to_its_limit():
    linear, offset = maps(shear=0.3)
    np.testing.assert_allclose(offset, 0, atol=1e-4)
    lean = linear[:, 1, 0]
    expected = np.broadcast_to(np.eye(2), (64, 2, 2)).copy()
    expected[:, 1, 0] = lean
    np.testing.assert_allclose(linear, expected, atol=1e-4)
    assert lean.max() > 0.2 and lean.min() < -0.2 and np.abs(lean).max() <= 0.3001


def test_flip_mirrors_half_of_the_images():
    linear, offset = maps(flip=True)
    np.testing.assert_allclose(offset, 0, atol=1e-4)
    mirrored = linear[:, 1, 1] < 0
    expected = np.where(mirrored[:, None, None], np.diag([1.0, -1.0]), np.eye(2))
    np.testing.assert_allclose(linear, expected, atol=1e-4)
    assert 16 < mirrored.sum() < 48


def test_some_images_stay_as_they_are_and_the_others_change_as_without():
    images = jax.random.uniform(jax.random.key(1), (200, 5, 4, 1))
    keys = jax.random.split(jax.random.key(2), 200)
    settings = {"shift": 1.0, "gamma": 0.5}
    changed = augment(images, keys, **settings)
    found = augment(images, keys, **settings, clean=0.25)
    stay = np.all(np.equal(found, images), axis=(1, 2, 3))
    assert 0.15 < stay.mean() < 0.35
    np.testing.assert_array_equal(found[~stay], changed[~stay])
    np.testing.assert_array_equal(augment(images, keys, clean=0.5), images)


def test_gradients_reach_every_moved_pixel(images):
    energy = jax.grad(lambda x: (augment(x, KEYS, **SETTINGS) ** 2).sum())
    gradient = jax.jit(energy)(images)
    assert jnp.isfinite(gradient).all() and (jnp.abs(gradient) > 0).mean() > 0.5
