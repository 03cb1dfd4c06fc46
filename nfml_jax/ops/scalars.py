"""Scalars of any library: whether they are numbers, and known before tracing.

Nothing here imports JAX, because commands answer mistakes before they take seconds for
it.
"""

import math
import numbers
import sys
from typing import Any

import numpy as np


def is_number(value: Any) -> bool:
    """Return whether a value is a finite real number known now, and not a bool.

    >>> is_number(np.float32(1.5)), is_number(True), is_number(np.inf)
    (True, False, False)
    """
    value = plain(value)
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer known now, and not a bool.

    >>> is_integer(np.int64(3)), is_integer(3.0)
    (True, False)
    """
    value = plain(value)
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Return an array without axes as a Python number, if its value is known."""
    known = hasattr(value, "item") and not is_traced(value)
    return value.item() if known and np.ndim(value) == 0 else value


def is_traced(value: Any) -> bool:
    """Return whether a value is a tracer of JAX."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.core.Tracer)


def has_axes(value: Any) -> bool:
    """Return whether a value is an array of JAX with axes."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array) and value.ndim > 0
