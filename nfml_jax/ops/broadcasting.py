"""Broadcasting as in NumPy, whatever the program around it allows."""

import functools
from collections.abc import Callable

import jax


def broadcasting(function: Callable) -> Callable:
    """Return `function` with `jax_numpy_rank_promotion` set to "allow" while it runs.

    This package adds a row to a matrix on purpose. A user may have JAX raise or warn
    about that, to find mistakes in other code, and is not stopped here.

    >>> import jax.numpy as jnp
    >>> add = broadcasting(lambda matrix, row: matrix + row)
    >>> with jax.numpy_rank_promotion("raise"):
    ...     add(jnp.eye(2), jnp.ones(2)).shape
    (2, 2)
    """

    @functools.wraps(function)
    def allowed(*arguments, **options):
        with jax.numpy_rank_promotion("allow"):
            return function(*arguments, **options)

    return allowed


def broadcasting_methods(kind: type, *names: str) -> None:
    """Make those named methods `broadcasting` that a class defines itself.

    A base class calls it in `__init_subclass__` for all classes that derive from it.
    """
    for name in names:
        if name in vars(kind):
            setattr(kind, name, broadcasting(vars(kind)[name]))
