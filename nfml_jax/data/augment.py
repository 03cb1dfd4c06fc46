"""Augmentation on the device: affine maps and appearance, each image by its own key."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from nfml_jax.data.appearance import LIMITS, change_appearance
from nfml_jax.ops.checks import check_flag, check_number


def to_float(images):
    """Return uint8 images as float32 in [-1, 1]: `(x / 255 - 0.5) / 0.5`."""
    return (jnp.asarray(images, jnp.float32) / 255 - 0.5) / 0.5


def augment(
    images,
    keys,
    *,
    shift=0.0,
    rotate=0.0,
    scale=0.0,
    shear=0.0,
    flip=False,
    resolution=0.0,
    blur=0.0,
    light=0.0,
    gamma=0.0,
    contrast=0.0,
    brightness=0.0,
    erase=0.0,
    clean=0.0,
):
    """Move each image `[B, H, W, C]` about its center, then change its appearance.

    An image moves by up to `shift` pixels along each axis, rotates by up to `rotate`
    degrees either way, changes its size by up to the fraction `scale` (0.1: from 0.9 to
    1.1 times), shears by up to `shear` pixels a row, and with `flip` is mirrored half
    of the time. Values are bilinear, and the border is repeated beyond itself, so that
    the background's level does not matter.

    The other settings take images in [-1, 1], as `to_float` makes them, and are drawn
    per image: `resolution` (the fraction of pixels removed per side), `blur` (standard
    deviation in pixels), `light` (the darkening of one side), `gamma` (a power from 1 /
    (1 + gamma) to 1 + gamma), `contrast` (relative change), `brightness` (a fraction of
    the range) and `erase` (the area of a gray rectangle, half of the time). Each is the
    limit of a random draw; see `nfml_jax.data.appearance`.

    Each image stays as it is with the probability `clean`. An encoder and its class
    weights then also learn from images such as those that they will be tested on.

    The draws of an image depend only on its key in `keys` `[B]`, so they do not change
    with the division of a batch over devices. If all settings are 0 the images are
    unchanged. Raises UserError for settings below 0, not finite, or at a limit such as
    a scale of 1, which would turn images inside out.
    """
    moves = {"shift": shift, "rotate": rotate, "scale": scale, "shear": shear}
    looks = {
        "resolution": resolution,
        "blur": blur,
        "light": light,
        "gamma": gamma,
        "contrast": contrast,
        "brightness": brightness,
        "erase": erase,
    }
    check_augment(flip=flip, clean=clean, **moves, **looks)
    given = images
    if any(moves.values()) or flip:
        images = jax.vmap(partial(_moved, **moves, flip=flip))(images, keys)
    if any(looks.values()):
        images = jax.vmap(partial(_of_looks, **looks))(images, keys)
    if clean and images is not given:
        stays = jax.vmap(
            lambda key: jax.random.uniform(jax.random.fold_in(key, _CLEAN))
        )
        images = jnp.where((stays(keys) < clean)[:, None, None, None], given, images)
    return images


FARTHEST = 1e6  # pixels or degrees


def check_augment(flip=False, **settings):
    """Raise UserError for settings that `augment` does not take."""
    check_flag(None, **{"augment.flip": flip})
    limits = {"scale": (0.0, 1.0), "clean": (0.0, 1.0)} | LIMITS
    for name, value in settings.items():
        _, limit = limits.get(name, (0.0, FARTHEST))
        check_number(None, 0, below=limit, **{f"augment.{name}": value})


def _of_looks(image, key, **looks):
    # The changes have their own key, so that the draws of the moves don't depend on
    # them.
    return change_appearance(image, jax.random.fold_in(key, _LOOKS), **looks)


def _either(given, changed, key, clean):
    """Return the given image with the probability `clean`, else the changed one."""
    stays = jax.random.uniform(jax.random.fold_in(key, _CLEAN)) < clean
    return jnp.where(stays, given, changed)


_LOOKS = 1 << 16
_CLEAN = 1 << 17


def _moved(image, key, *, shift, rotate, scale, shear, flip):
    draw = jax.random.uniform(key, (6,), image.dtype, -1.0, 1.0)
    rows, columns = _source(
        image.shape[:2],
        angle=jnp.deg2rad(rotate * draw[0]),
        size=1.0 + scale * draw[1],
        offset=shift * draw[2:4],
        lean=shear * draw[4],
        mirror=jnp.where(draw[5] < 0, -1.0, 1.0) if flip else 1.0,
    )
    sample = lambda channel: map_coordinates(  # noqa: E731
        channel, [rows, columns], order=1, mode="nearest"
    )
    return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)


def _source(shape, angle, size, offset, lean, mirror):
    """Return the rows and columns from which each pixel `[H, W]` is taken."""
    height, width = shape
    y = jnp.arange(height)[:, None] - (height - 1) / 2 - offset[0]
    x = jnp.arange(width)[None, :] - (width - 1) / 2 - offset[1]
    x = mirror * (x - lean * y)
    cos, sin = jnp.cos(angle) / size, jnp.sin(angle) / size
    rows = cos * y - sin * x + (height - 1) / 2
    columns = sin * y + cos * x + (width - 1) / 2
    return rows, columns
