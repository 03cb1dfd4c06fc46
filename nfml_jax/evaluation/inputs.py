"""Checks of the arrays that users pass to measures, and the precision they need.

Embeddings whose columns lie far from zero for their spread lose in float32 what
distinguishes them. `check_needed` therefore keeps float64 where float32 is too coarse.
"""

import warnings

import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError


def check_vectors(x, name: str = "embeddings") -> np.ndarray:
    """Return vectors `[N, D]` in float32.

    Raises:
      UserError: for another shape or type, and for vectors that are empty, not finite
        or beyond the range of float32.
    """
    return check_digits(x, name).astype(np.float32, copy=False)


def check_digits(x, name: str = "embeddings") -> np.ndarray:
    """Return vectors `[N, D]` in float32 if they are, and else in float64.

    Raises:
      UserError: as `check_vectors`.
    """
    x = as_numbers(x, name)
    x = x.astype(np.float32 if x.dtype == np.float32 else np.float64, copy=False)
    if x.ndim != 2:
        raise UserError(
            f"{name} have shape {x.shape}; expected [examples, dimensions]."
        )
    if x.size == 0:
        raise UserError(
            f"{name} are empty (shape {x.shape}); evaluate on at least one example."
        )
    bad = np.count_nonzero(~np.isfinite(x).all(axis=1))
    if bad:
        raise UserError(
            f"{bad} of {len(x)} {name} are not finite; the training has probably "
            "diverged, so evaluate an earlier checkpoint or lower the learning rate."
        )
    if x.dtype == np.float64 and np.abs(x).max() > np.finfo(np.float32).max:
        raise UserError(
            f"{name} reach {np.abs(x).max():g}, beyond the range of float32; divide "
            "them by a number."
        )
    return x


def check_needed(x, name: str = "embeddings") -> np.ndarray:
    """Return vectors `[N, D]` in the precision that `needed_digits` chooses.

    Raises:
      UserError: as `check_vectors`.
    """
    return needed_digits(check_digits(x, name))


def needed_digits(x: np.ndarray) -> np.ndarray:
    """Return vectors `[N, D]` in float32, or as they are where float32 is too coarse.

    It is too coarse where columns lie far from zero for their spread.
    """
    moved = without_common_part(x, x)[0]
    return x if (moved[0] != x[0]).any() else x.astype(np.float32)


def without_common_part(a, b):
    """Return vectors `[N, D]` and `[M, D]` without what their columns have in common.

    The vectors change only if one of them has more digits than float32. Their rows may
    all lie far from zero, so that float32 would round away the differences to be
    measured. The units are those of the first vectors.
    """
    wide = any(x.dtype.kind in "iu" or x.dtype == np.float64 for x in (a, b))
    if not wide or a.ndim != 2 or a.shape[1:] != b.shape[1:] or not len(a):
        return a, b
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        center = np.median(a, axis=0)
        far = np.abs(center) > 1e3 * np.abs(a - center).mean(axis=0)
    center = np.where(far & np.isfinite(center), center, 0.0)
    return a - center, b - center


def as_numbers(x, name: str) -> np.ndarray:
    """Return an array of real numbers.

    Numbers of Python become float64, and half precision becomes float32.

    Raises:
      UserError: for text, complex numbers, objects or rows of unequal length.
    """
    try:
        values = np.asarray(x)
        if values.dtype == object:
            values = values.astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(
            f"{name} are a {type(x).__name__} that is not an array of numbers; "
            "expected real numbers, in rows of equal length."
        ) from None
    half = jnp.issubdtype(values.dtype, jnp.floating) and values.dtype.itemsize < 4
    if half:
        return values.astype(np.float32)
    if values.dtype.kind not in "fiub":
        raise UserError(f"{name} have type {values.dtype}; expected real numbers.")
    return values


def check_scores(scores, name: str = "scores") -> np.ndarray:
    """Return scores of any shape as an array; they may be infinite.

    Raises:
      UserError: for what is no array of real numbers, or contains NaN.
    """
    scores = as_numbers(scores, name)
    if np.isnan(scores).any():
        raise UserError(
            f"{np.isnan(scores).sum()} of {scores.size} {name} are NaN; expected "
            "numbers, or -inf or inf: leave these pairs out, or correct their scores."
        )
    return scores


def count_rows(x, name: str) -> int:
    """Return the length of an array or a list.

    Raises:
      UserError: for a value without a length.
    """
    try:
        return len(x)
    except TypeError:
        raise UserError(
            f"{name} are {x!r:.40}, which has no rows; expected one for each example."
        ) from None


def check_same_dimensions(a: np.ndarray, b: np.ndarray, names: str) -> None:
    """Raise UserError if vectors `a` `[N, D]` and `b` `[M, D]` differ in D."""
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"{names} have {a.shape[1]} and {b.shape[1]} dimensions; expected the same "
            "number, so take both from one model, as [examples or classes, dimensions]."
        )


def check_rate(rate: float, count: int, what: str, those: str) -> None:
    """Raise UserError for a rate outside (0, 1], and warn if it can't be measured.

    A rate below 1 / `count` can't be measured: it is either 0 or more than that.
    `those` names what is counted, such as "impostor pairs".
    """
    if not 0 < rate <= 1:
        raise UserError(f"{what} {rate}: expected a rate above 0 and at most 1.")
    if rate < 1 / count:
        warnings.warn(
            f"{what} {rate:g} is not measurable with {count} {those}; it needs at "
            f"least {np.ceil(1 / rate):.0f}.",
            stacklevel=4,
        )
