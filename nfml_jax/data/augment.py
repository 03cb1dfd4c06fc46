"""Light augmentation on the device: shift, turn and scale, each image by its key."""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates


def to_float(images):
    """uint8 images as float32 in [-1, 1]: ``(x / 255 - 0.5) / 0.5``."""
    return (jnp.asarray(images, jnp.float32) / 255 - 0.5) / 0.5


def augment(images, keys, *, shift=0.0, rotate=0.0, scale=0.0):
    """Shift, turn and scale each image about its centre, at random.

    What happens to an image depends on its own key alone, so it does not change with
    the way a batch is divided over devices. Values are bilinear, and beyond the border
    the border's own repeat, so that the background's level does not matter.

    Args:
        images: float [B, H, W, C].
        keys: one key for each image [B], or one key of which the i-th image's is
            ``fold_in(key, i)``.
        shift: largest shift along each axis, in pixels.
        rotate: largest angle either way, in degrees.
        scale: largest change of size, as a fraction (0.1: from 0.9 to 1.1 times).

    Returns:
        float [B, H, W, C]; the images themselves if all three are 0.
    """
    if not (shift or rotate or scale):
        return images
    typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if keys.ndim == (0 if typed else 1):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(keys, jnp.arange(len(images)))

    def one(image, key):
        draw = jax.random.uniform(key, (4,), image.dtype, -1.0, 1.0)
        angle = jnp.deg2rad(rotate * draw[0])
        size = 1.0 + scale * draw[1]
        rows, columns = _source(image.shape[:2], angle, size, shift * draw[2:])
        sample = lambda channel: map_coordinates(  # noqa: E731
            channel, [rows, columns], order=1, mode="nearest"
        )
        return jax.vmap(sample, in_axes=-1, out_axes=-1)(image)

    return jax.vmap(one)(images, keys)


def _source(shape, angle, size, offset):
    """Where each pixel [H, W] of the result comes from: rows and columns."""
    height, width = shape
    y = jnp.arange(height)[:, None] - (height - 1) / 2 - offset[0]
    x = jnp.arange(width)[None, :] - (width - 1) / 2 - offset[1]
    cos, sin = jnp.cos(angle) / size, jnp.sin(angle) / size
    rows = cos * y - sin * x + (height - 1) / 2
    columns = sin * y + cos * x + (width - 1) / 2
    return rows, columns
