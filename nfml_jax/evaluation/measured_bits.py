"""Bits per dimension of many images in bounded memory, draw by draw."""

from collections.abc import Callable, Mapping

import jax
import numpy as np

from nfml_jax.evaluation.bits_per_dim import BitsPerDim, Ledger
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.levels import check_levels

Array = jax.Array


def measure(
    terms: Callable[..., Mapping[str, Array]],
    images,
    key: Array,
    *,
    levels: int = 256,
    samples: int = 1,
    context=None,
    batch: int = 256,
    **options,
) -> BitsPerDim:
    """Return the bits per dimension of images of integer levels `[N, H, W, C]`.

    Args:
      terms: A function of images `[B, H, W, C]`, a random key for each `[B]`, and the
        context `[B, ...]` or None. It returns the terms of log P(x) for one draw of
        noise, in nats `[B]` by name. It sees arrays of one shape only, so it may be
        jitted.
      images: The images.
      key: The key of all draws of noise. An image's keys follow from this one and its
        number, so its value does not depend on the images beside it.
      levels: The number of values that a pixel can have.
      samples: The number of draws for each image.
      context: The context of each image `[N, ...]`, or None.
      batch: The number of images in a call.
      **options: Further ones of `Ledger`.

    Raises:
      UserError: Images aren't integers within the levels.

    >>> images = np.zeros((5, 2, 2, 1), np.uint8)
    >>> def uniform(x, key, context):
    ...     return {"density": np.full(len(x), -4 * np.log(256))}
    >>> print(measure(uniform, images, jax.random.key(0), samples=2))
    8.0000 ± 0.0000 bits/dim (2-sample bound)
    """
    images = check_levels(images, levels)
    check_integer("measure", 1, samples=samples, batch=batch)
    ledger = Ledger(images.shape[1:], levels=levels, samples=samples, **options)
    batch = min(batch, len(images))
    for start in range(0, len(images), batch):
        # The last batch is filled up with the first images again.
        numbers = np.arange(start, start + batch)
        rows, count = numbers % len(images), min(batch, len(images) - start)
        given = None if context is None else np.asarray(context)[rows]
        draws = [
            jax.device_get(terms(images[rows], _keys(key, m, numbers), given))
            for m in range(samples)
        ]
        stacked = {
            name: np.stack([np.asarray(draw[name], np.float64) for draw in draws])
            for name in draws[0]
        }
        ledger.add(**{name: value[:, :count] for name, value in stacked.items()})
    return ledger.result()


def _keys(key, draw, numbers):
    """Return the keys of one draw of noise for images by their numbers."""
    return jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.fold_in(key, draw), numbers
    )
