"""Objects as values, which are equal, hashed and pickled by their contents.

A value can be a static argument of `jax.jit` or the key of a cache, and can be sent to
another process. Lists and arrays are not hashable, so fields of values are tuples
instead.
"""

import dataclasses
import importlib
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

# Modules whose functions are pickled by name, because JAX's jitted ones can't be.
FUNCTIONS_OF = ("jax.nn", "jax.numpy", "flax.linen")


class Value(nn.Module):
    """A Flax module that is a value: a list or an array given as a field is a tuple.

    Two modules made alike are equal and have equal hashes, and a pickled module is
    equal to what it was made of. Functions from `jax.nn`, `jax.numpy` and `flax.linen`
    pickle by name; other functions do where Python can pickle them.
    """

    def __init_subclass__(cls, **options):
        if "check_options" in vars(cls):
            # It reads fields only, and runs before Flax sets the module up.
            nn.nowrap(vars(cls)["check_options"])
        super().__init_subclass__(**options)

    def __post_init__(self):
        freeze(self, except_for=("parent", "name"))
        self.check_options()
        super().__post_init__()

    @nn.nowrap
    def check_options(self) -> None:
        """Raise UserError for fields that fit no module of this kind."""

    @nn.nowrap
    def __getstate__(self):
        return {name: _by_name(value) for name, value in self.__dict__.items()}

    @nn.nowrap
    def __setstate__(self, state):
        self.__dict__.update(
            {
                name: value.find() if isinstance(value, _Name) else value
                for name, value in state.items()
            }
        )


def freeze(instance: Any, except_for: tuple[str, ...] = ()) -> None:
    """Replace the fields of a dataclass by `frozen` ones, in place.

    An integer in a field of type float becomes a float, because JAX has no integers
    beyond int32.
    """
    for field in dataclasses.fields(instance):
        if field.name in except_for or not hasattr(instance, field.name):
            continue
        value = getattr(instance, field.name)
        fixed = frozen(value)
        if field.type is float and type(fixed) is int:
            fixed = _as_float(fixed)
        if fixed is not value:
            object.__setattr__(instance, field.name, fixed)


def _as_float(value: int) -> float | int:
    """Return an integer as a float, or as it is if it is beyond every float."""
    try:
        return float(value)
    except OverflowError:  # a check refuses it later
        return value


def frozen(value: Any) -> Any:
    """Return lists and arrays as tuples, scalars of NumPy as those of Python.

    Other values are returned as they are.

    >>> frozen([1, np.array([2.0, 3.0])])
    (1, (2.0, 3.0))
    """
    if isinstance(value, Tracer) or _is_key(value):
        return value
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return frozen(np.asarray(value).tolist())
    if isinstance(value, list) or type(value) is tuple:
        fixed = tuple(map(frozen, value))
        same = type(value) is tuple and all(map(operator.is_, fixed, value))
        return value if same else fixed
    if isinstance(value, set):
        return frozenset(value)
    return value


def _is_key(value) -> bool:
    """Return whether a value is a random key of JAX."""
    dtype = getattr(value, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


class _Name(NamedTuple):
    """The place where a public function is found."""

    module: str
    name: str

    def find(self) -> Callable:
        """Return the function."""
        return getattr(importlib.import_module(self.module), self.name)


def _by_name(value):
    """Return the `_Name` of a function of JAX, and anything else as it is."""
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        for module in FUNCTIONS_OF:
            place = _Name(module, name)
            if getattr(importlib.import_module(module), name, None) is value:
                return place
    return value
