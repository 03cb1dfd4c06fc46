"""Shifts and mirror images of pictures on the device, which keep levels exact."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.ops.checks import check_flag, check_integer

Array = jax.Array


def move(images: Array, keys: Array, *, shift: int = 0, flip: bool = False) -> Array:
    """Return images `[B, H, W, C]`, each shifted and mirrored by its key in `keys`.

    Args:
      images: Pictures of any type; no value is computed anew.
      keys: Random keys `[B]`. A picture's draw depends on its own key only.
      shift: The most pixels to shift by along either axis. The border is repeated.
      flip: True to mirror left and right half of the time.

    Raises:
      UserError: `shift` is no integer of at least 0, or `flip` no bool.
    """
    check_integer("augment", 0, 10_000, shift=shift)
    check_flag("augment", flip=flip)
    if not shift and not flip:
        return images
    return jax.vmap(partial(_moved, shift=shift, flip=flip))(images, keys)


def _moved(image, key, *, shift, flip):
    place_key, flip_key = jax.random.split(key)
    if shift:
        pads = [(shift, shift), (shift, shift), (0, 0)]
        wide = jnp.pad(image, pads, mode="edge")
        place = jax.random.randint(place_key, (2,), 0, 2 * shift + 1)
        image = lax.dynamic_slice(wide, (place[0], place[1], 0), image.shape)
    if flip:
        mirrored = jax.random.bernoulli(flip_key)
        image = jnp.where(mirrored, image[:, ::-1], image)
    return image
