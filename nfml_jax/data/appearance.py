"""Augmentation of the appearance of pictures: light, sharpness, and hidden parts.

Pictures are float `[H, W, C]` in [-1, 1], and each function takes one of them, its key
and the setting that limits its random draw. Results stay in [-1, 1].
"""

import jax
import jax.numpy as jnp
from jax import lax

LIMITS = {
    "resolution": (0.0, 1.0),
    "blur": (0.0, 10.0),
    "light": (0.0, 1.0),
    "gamma": (0.0, 10.0),
    "contrast": (0.0, 1.0),
    "brightness": (0.0, 1.0),
    "erase": (0.0, 1.0),
}
"""The range of each setting; the upper limit is excluded. 0 turns it off."""


def change_appearance(image, key, **settings):
    """Return a picture with every change whose setting isn't 0, in a fixed order.

    Each change draws from its own key, so that adding one leaves the draws of the
    others unchanged.
    """
    for number, name in enumerate(LIMITS):
        if settings[name]:
            image = _CHANGES[name](
                image, jax.random.fold_in(key, number), settings[name]
            )
    return image


def lower_resolution(image, key, most):
    """Lower a picture's resolution by up to the fraction `most` of pixels per side."""
    cell = 1 / (1 - most * jax.random.uniform(key))
    softened = [
        _blurring(length, 0.5 * (cell - 1), 0.5 * most / (1 - most))
        for length in image.shape[:2]
    ]

    def centers(length):
        place = (jnp.arange(length) + 0.5) / cell
        middle = (jnp.floor(place) + 0.5) * cell - 0.5
        return jnp.clip(jnp.round(middle), 0, length - 1).astype(jnp.int32)

    return _mixed(image, *(soft[centers(len(soft))] for soft in softened))


def blur(image, key, most):
    """Blur a picture by a Gaussian of up to `most` pixels (standard deviation)."""
    deviation = most * jax.random.uniform(key)
    return _mixed(image, *(_blurring(n, deviation, most) for n in image.shape[:2]))


def change_light(image, key, most):
    """Light a picture from one side, darkening the other by up to the fraction `most`.

    The direction is uniform over the circle. Intensities in [0, 1] are multiplied by a
    factor that falls linearly from 1 to 1 minus the draw across the picture.
    """
    height, width, _ = image.shape
    strength, turn = jax.random.uniform(key, (2,))
    angle = 2 * jnp.pi * turn
    y = jnp.linspace(-1.0, 1.0, height)[:, None]
    x = jnp.linspace(-1.0, 1.0, width)[None, :]
    across = (jnp.cos(angle) * x + jnp.sin(angle) * y) / jnp.sqrt(2.0)
    factor = 1 - most * strength * (1 - across) / 2
    return (image + 1) * factor[..., None] - 1


def change_gamma(image, key, most):
    """Raise intensities in [0, 1] to a power between 1 / (1 + most) and 1 + most."""
    exponent = (1 + most) ** jax.random.uniform(key, minval=-1.0)
    # The slope at 0 is infinite for powers below 1.
    return 2 * jnp.maximum((image + 1) / 2, 1e-6) ** exponent - 1


def change_contrast(image, key, most):
    """Multiply the deviation from the mean by a random factor in 1 ± `most`."""
    factor = 1 + most * jax.random.uniform(key, minval=-1.0)
    mean = image.mean()
    return jnp.clip(mean + factor * (image - mean), -1, 1)


def change_brightness(image, key, most):
    """Add or subtract up to the fraction `most` of the range of intensities."""
    return jnp.clip(image + 2 * most * jax.random.uniform(key, minval=-1.0), -1, 1)


def erase(image, key, most):
    """Put a uniform gray on a rectangle of up to the fraction `most`, half of the time.

    Its sides differ by a factor of up to two, and the gray is uniform over [-1, 1]
    (Zhong et al. 2020, "Random Erasing").
    """
    height, width, _ = image.shape
    draw = jax.random.uniform(key, (6,))
    area = jnp.where(draw[0] < 0.5, 0.0, most * draw[1])
    ratio = 2 ** (draw[2] - 0.5)
    tall, wide = jnp.sqrt(area) * ratio * height, jnp.sqrt(area) / ratio * width
    top, left = draw[3] * (height - tall), draw[4] * (width - wide)
    y, x = jnp.arange(height)[:, None] + 0.5, jnp.arange(width)[None, :] + 0.5
    inside = (y > top) & (y < top + tall) & (x > left) & (x < left + wide)
    return jnp.where(inside[..., None], (2 * draw[5] - 1).astype(image.dtype), image)


_CHANGES = {
    "resolution": lower_resolution,
    "blur": blur,
    "light": change_light,
    "gamma": change_gamma,
    "contrast": change_contrast,
    "brightness": change_brightness,
    "erase": erase,
}


def _blurring(length, deviation, most):
    """Return the matrix `[N, N]` of a Gaussian of `deviation` ≤ `most` pixels.

    A row has the weights of the pixels that one pixel becomes; the border repeats.
    """
    reach = int(2 * most) + 1
    place = jnp.arange(-reach, reach + 1)
    weights = jnp.exp(-0.5 * (place / jnp.maximum(deviation, 1e-3)) ** 2)
    sources = jnp.clip(jnp.arange(length)[:, None] + place, 0, length - 1)
    return (weights / weights.sum()) @ jax.nn.one_hot(sources, length)


def _mixed(image, rows, columns):
    """Return a picture whose rows and columns are mixed by matrices.

    Products are faster than sums of shifted pictures, in which XLA computes anew all
    earlier changes of each pixel that is read.
    """
    rows, columns = rows.astype(image.dtype), columns.astype(image.dtype)
    exact = lax.Precision.HIGHEST
    return jnp.einsum("ij,jkc,lk->ilc", rows, image, columns, precision=exact)
