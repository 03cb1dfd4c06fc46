"""Augmented pictures change as each setting says, each by its own key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.data import augment
from nfml_jax.data.appearance import LIMITS
from nfml_jax.errors import UserError

KEYS = jax.random.split(jax.random.key(0), 32)
SETTINGS = {name: 0.9 * min(high, 1.0) for name, (_, high) in LIMITS.items()}
NAMES = list(SETTINGS)


@pytest.fixture(scope="module")
def pictures():
    return jax.random.uniform(jax.random.key(1), (32, 12, 10, 3), minval=-1.0)


@pytest.fixture(scope="module")
def changed(pictures):
    """The pictures under each setting alone and under all of them, and reordered."""

    @jax.jit
    def change(pictures, keys):
        found = {n: augment(pictures, keys, **{n: v}) for n, v in SETTINGS.items()}
        return found | {"all": augment(pictures, keys, **SETTINGS)}

    turned = change(pictures[::-1], KEYS[::-1])
    return change(pictures, KEYS), jax.tree.map(lambda x: x[::-1], turned)


@pytest.mark.parametrize("name", [*NAMES, "all"])
def test_every_change_depends_on_a_picture_s_own_key_and_stays_in_range(
    changed, pictures, name
):
    found, again = (np.asarray(part[name]) for part in changed)
    np.testing.assert_array_equal(found, again)
    assert np.isfinite(found).all() and np.abs(found).max() <= 1 + 1e-5
    moved = np.abs(found - np.asarray(pictures)).mean(axis=(1, 2, 3))
    # Half of the pictures lose nothing by erasing.
    assert (moved > 1e-3).mean() > (0.3 if name == "erase" else 0.6)
    assert len(np.unique(moved.round(4))) > 8


def test_each_setting_does_what_its_name_says(changed, pictures):
    found = {name: np.asarray(value) for name, value in changed[0].items()}
    before = np.asarray(pictures)
    deviation = before.std(axis=(1, 2, 3))
    assert (found["blur"].std(axis=(1, 2, 3)) <= deviation + 1e-6).all()
    assert (found["light"] <= before + 1e-5).all()
    ratio = found["contrast"].std(axis=(1, 2, 3)) / deviation
    assert ratio.min() < 0.5 and ratio.max() > 1.1
    order = before.reshape(32, -1).argsort(axis=1)
    for name in ("gamma", "brightness", "contrast"):  # monotone in the intensity
        rising = np.take_along_axis(found[name].reshape(32, -1), order, axis=1)
        assert (np.diff(rising, axis=1) >= -1e-5).all(), name
    hidden = (found["erase"] != before).any(axis=-1)
    assert 0.2 < hidden.any(axis=(1, 2)).mean() < 0.8
    assert hidden.mean(axis=(1, 2)).max() <= 0.95
    coarse = [len(np.unique(picture[..., 0])) for picture in found["resolution"]]
    assert min(coarse) < 40 and max(coarse) > 60


def test_the_light_falls_from_every_side():
    white = jnp.ones((32, 9, 9, 1))
    lit = np.asarray(augment(white, KEYS, light=0.8))[..., 0]
    down, across = lit[:, -1].mean(1) - lit[:, 0].mean(1), lit[:, :, -1].mean(1)
    across = across - lit[:, :, 0].mean(1)
    assert down.min() < -0.2 < 0.2 < down.max()
    assert across.min() < -0.2 < 0.2 < across.max()
    assert lit.min() >= 1 - 2 * 0.8 - 1e-5


def test_moves_are_drawn_alike_with_and_without_other_changes(pictures):
    moved = augment(pictures[:2], KEYS[:2], shift=2.0)
    both = augment(pictures[:2], KEYS[:2], shift=2.0, brightness=1e-9)
    np.testing.assert_allclose(both, moved, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "limit"), [(n, high) for n, (_, high) in LIMITS.items()]
)
def test_settings_beyond_their_range_are_named(pictures, name, limit):
    for value in (limit, -0.1, float("nan"), True, "x"):
        with pytest.raises(UserError, match=f"augment.{name}={value!r}; expected"):
            augment(pictures, KEYS, **{name: value})
