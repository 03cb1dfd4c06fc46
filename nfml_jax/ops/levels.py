"""Pictures of integer levels: the border where they enter a density of pixels."""

import numpy as np

from nfml_jax.errors import UserError

MOST_LEVELS = 2**16


def check_levels(images, levels: int, name: str = "images") -> np.ndarray:
    """Return images as an array, if they are integers from 0 to `levels` - 1.

    Raises:
      UserError: They are not, or there are none.

    >>> check_levels(np.full((1, 2, 2, 1), 16, np.uint8), levels=16)
    Traceback (most recent call last):
    nfml_jax.errors.UserError: images range from 16 to 16, and levels=16 covers 0 to 15;
    set levels to 17 or more.
    """
    images = np.asarray(images)
    if not np.issubdtype(images.dtype, np.integer):
        raise UserError(
            f"{name} are of type {images.dtype}; expected integers from 0 to "
            f"{levels - 1}: give the levels themselves, before any division."
        )
    if images.ndim < 2 or not images.size:
        raise UserError(
            f"{name} have shape {list(images.shape)}; expected [N, H, W, C], not empty."
        )
    low, high = int(images.min()), int(images.max())
    if low < 0 or high >= levels:
        remedy = (
            f"set levels to {high + 1} or more" if low >= 0 else "add their minimum"
        )
        raise UserError(
            f"{name} range from {low} to {high}, and levels={levels} covers 0 to "
            f"{levels - 1}; {remedy}."
        )
    return images


def as_levels(
    images, levels: int = 256, event_shape: tuple[int, ...] | None = None
) -> np.ndarray:
    """Return images as integer levels, uint8 or uint16 `[N, H, W, C]`.

    Args:
      images: Integers from 0 to `levels` - 1, or floats in [0, 1), which stand for
        ⌊levels · y⌋.
      levels: The number of values that a pixel can have.
      event_shape: The shape [H, W, C] that images must have, or None for any.

    Raises:
      UserError: Images are out of range, not finite or of another shape.

    >>> as_levels(np.array([[[[0.0], [0.999]]]]), 256).ravel()
    array([  0, 255], dtype=uint8)
    """
    images = np.asarray(images)
    if event_shape is not None and images.shape[1:] != tuple(event_shape):
        raise UserError(
            f"images have shape {list(images.shape)}; expected [N, "
            f"{', '.join(map(str, event_shape))}]: height, width and channels as in "
            "training."
        )
    if np.issubdtype(images.dtype, np.floating):
        if np.isnan(images).any():
            which = int(
                np.argmax(np.isnan(images).reshape(len(images), -1).any(axis=1))
            )
            raise UserError(f"image {which} has NaN; repair it, or leave it out.")
        if images.size and (images.min() < 0 or images.max() >= 1):
            raise UserError(
                f"images of floats range from {images.min():g} to {images.max():g}; "
                f"expected [0, 1): give integers from 0 to {levels - 1}, or divide "
                f"these by {levels}."
            )
        images = np.floor(images.astype(np.float64) * levels).astype(np.int64)
    images = check_levels(images, levels)
    return images.astype(np.uint8 if levels <= 256 else np.uint16)
