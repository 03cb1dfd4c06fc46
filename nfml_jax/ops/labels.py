"""The border for labels: arrays of users become one integer for each row.

Labels are integers of any width and signedness, or booleans, of shape `[N]` or `[N,
1]`, in any container that numpy reads: arrays, lists, tuples, and series of pandas and
polars. Masked entries and negative labels are padding where padding is allowed. Floats,
text and one-hot rows are refused with a remedy, because the same numbers could mean
something else, and another loss would be computed silently.

Values are checked wherever they are known, on the host, before JAX makes them 32 bits
wide. Only the shape and type of a traced array are known. Its integers keep a width
that holds them all, so labels of 64 bits are exact if `jax_enable_x64` is on. A type
that doesn't fit in 64 bits (or 32, without x64) is refused. A numpy int64 array that is
passed to a jitted function without x64 has already been cut to 32 bits by JAX.
"""

import numbers

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from nfml_jax.errors import UserError

INT32 = np.iinfo(np.int32)


def row_labels(
    labels,
    rows: int,
    *,
    num_classes: int | None = None,
    name: str = "labels",
) -> jax.Array:
    """Return labels as integers `[rows]`, traced or not; negative ones are padding.

    They are int32, or int64 if a traced array is. Known values are checked against
    `num_classes`. A traced label beyond it is left to the caller.

    Args:
      labels: integers or booleans `[rows]` or `[rows, 1]`.
      rows: the number of labels expected.
      num_classes: the number of classes, or None if any label is valid.
      name: the name of the labels in errors.

    Raises:
      UserError: for another shape or type, or for a known value that is `num_classes`
        or more, or doesn't fit in 32 bits.

    >>> row_labels([2, 0, -1], rows=3, num_classes=3).tolist()
    [2, 0, -1]
    """
    if not _is_known(labels):
        labels = jnp.asarray(labels)
    if isinstance(labels, jax.Array) and not _is_known(labels):
        return _traced(labels, rows, name)
    return jnp.asarray(check_labels(labels, rows, num_classes, name, padding=True))


def check_labels(
    labels,
    count: int,
    num_classes: int | None = None,
    name: str = "labels",
    *,
    padding: bool = False,
) -> np.ndarray:
    """Return known labels as int32 `[count]`.

    Args:
      labels: integers or booleans `[count]` or `[count, 1]`.
      count: the number of labels expected.
      num_classes: the number of classes, or None if any label is valid.
      name: the name of the labels in errors.
      padding: True if masked entries become -1, and negative labels are valid.

    Raises:
      UserError: for another shape or type, for a value that doesn't fit in 32 bits, or
        with `num_classes` for one outside [0, num_classes).

    >>> check_labels([[2], [0]], count=2)
    array([2, 0], dtype=int32)
    """
    values = _as_numpy(labels, count, name, padding)
    if values.shape == (count, 1):
        values = values[:, 0]
    if not count and values.shape == (0,):
        return np.zeros(0, np.int32)
    odd = _odd(values)
    if values.shape != (count,) or odd:
        raise _refusal(values.shape, odd or str(values.dtype), not odd, count, name)
    low, high = int(values.min()), int(values.max())
    lowest = INT32.min if padding else 0
    if num_classes is not None and not lowest <= low <= high < num_classes:
        below = " (or below 0 in rows to leave out)" if padding else ""
        raise UserError(
            f"{name} range from {low} to {high}; expected 0 to {num_classes - 1}"
            f"{below}: correct them, or set the number of classes."
        )
    # In 32 bits, two classes could become one.
    if not INT32.min <= low <= high <= INT32.max:
        raise UserError(
            f"{name} range from {low} to {high}; expected numbers of 32 bits: renumber "
            "the classes with numpy.unique(labels, return_inverse=True)."
        )
    return values.astype(np.int32)


def _is_known(labels) -> bool:
    """Return whether labels can be read now: not a tracer, nor a list that has one."""
    if isinstance(labels, jax.Array):
        return not isinstance(labels, Tracer) and labels.is_fully_addressable
    if isinstance(labels, list | tuple):
        return all(map(_is_known, labels))
    return True


def _traced(labels, rows, name) -> jax.Array:
    """Return traced labels `[rows]` in a width that holds them."""
    if labels.shape == (rows, 1):
        labels = labels[:, 0]
    dtype = labels.dtype
    integral = _is_integral(dtype)
    if labels.shape != (rows,) or not integral:
        raise _refusal(labels.shape, str(dtype), integral, rows, name)
    if jnp.can_cast(dtype, jnp.int32):
        return labels.astype(jnp.int32)
    widest = jax.dtypes.canonicalize_dtype(jnp.int64)
    if not jnp.can_cast(dtype, widest):
        raise UserError(
            f"{name} have type {dtype} under jit, where their values can't be checked "
            f"and may not fit in {widest}; look at the largest, and cast them with "
            "labels.astype('int32')."
        )
    return labels.astype(widest)


def _as_numpy(labels, rows, name, padding) -> np.ndarray:
    """Return known labels as a numpy array, with -1 for masked entries."""
    mask = np.ma.getmask(labels)
    try:
        values = np.asarray(labels)
    except Exception as problem:
        raise UserError(
            f"{name} are a {type(labels).__name__} that is not an array "
            f"({str(problem).splitlines()[0]}); expected one integer for each of the "
            f"{rows} rows, [{rows}]."
        ) from None
    if not np.any(mask):
        return values
    if not (padding and _is_integral(values.dtype)):
        raise UserError(
            f"{name} are masked in {np.sum(mask)} of {mask.size} rows; expected an "
            "integer for each: leave these rows out."
        )
    return np.where(mask, -1, values.astype(object))


def _odd(values: np.ndarray) -> str:
    """Return the type of values that aren't integers, or "" if they are integers."""
    if values.dtype != object:
        return "" if _is_integral(values.dtype) else str(values.dtype)
    # Python's integers have any width, and pandas keeps some integers as objects.
    integers = numbers.Integral, np.bool_
    odd = [value for value in values.flat if not isinstance(value, integers)]
    return f"object, such as {odd[0]!r:.40}" if odd else ""


def _is_integral(dtype) -> bool:
    """Return whether a type is one of integers or booleans."""
    return dtype.kind in "biu" or jnp.issubdtype(dtype, jnp.integer)


def _refusal(shape, kind, integral, rows, name) -> UserError:
    """Return the error for labels of another shape or type."""
    remedy = ""
    if len(shape) == 2 and shape[0] == rows and shape[1] > 1:
        remedy = "; convert one-hot rows with labels.argmax(axis=1)"
    elif "float" in kind:
        remedy = "; convert integral values with labels.astype(int)"
    elif not integral:
        remedy = "; number them with numpy.unique(labels, return_inverse=True)"
    return UserError(
        f"{name} have shape {list(shape)} and type {kind}; expected one integer for "
        f"each of the {rows} rows, [{rows}]{remedy}."
    )
