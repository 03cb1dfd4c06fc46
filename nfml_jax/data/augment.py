"""Light augmentation on the device: affine maps, each image by its own key."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates

from nfml_jax.errors import UserError


def to_float(images):
    """uint8 images as float32 in [-1, 1]: `(x / 255 - 0.5) / 0.5`."""
    return (jnp.asarray(images, jnp.float32) / 255 - 0.5) / 0.5


def augment(images, keys, *, shift=0.0, rotate=0.0, scale=0.0, shear=0.0, flip=False):
    """Move each image [B, H, W, C] about its centre, by its key [B].

    Each goes up to `shift` pixels along each axis, up to `rotate` degrees either way,
    changes its size by up to the fraction `scale` (0.1: from 0.9 to 1.1 times), leans
    by up to `shear` pixels a row, and with `flip` is mirrored half of the time.
    What happens to an image depends on its own key alone, so it does not change with
    the way a batch is divided over devices. Values are bilinear, and beyond the border
    the border's own repeat, so that the background's level does not matter. With all
    of them 0 the images come back as they are. Raises UserError for settings below 0,
    not finite, or a scale of 1 and more, which would turn images inside out.
    """
    settings = {"shift": shift, "rotate": rotate, "scale": scale, "shear": shear}
    for name, value in settings.items():
        if not 0 <= value < (1 if name == "scale" else math.inf):
            raise UserError(
                f"augment.{name} is {value}; expected "
                + ("a fraction in [0, 1)." if name == "scale" else "0 or more.")
            )
    if not (any(settings.values()) or flip):
        return images

    def one(image, key):
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

    return jax.vmap(one)(images, keys)


def _source(shape, angle, size, offset, lean, mirror):
    """Where each pixel [H, W] of the result comes from: rows and columns."""
    height, width = shape
    y = jnp.arange(height)[:, None] - (height - 1) / 2 - offset[0]
    x = jnp.arange(width)[None, :] - (width - 1) / 2 - offset[1]
    x = mirror * (x - lean * y)
    cos, sin = jnp.cos(angle) / size, jnp.sin(angle) / size
    rows = cos * y - sin * x + (height - 1) / 2
    columns = sin * y + cos * x + (width - 1) / 2
    return rows, columns
