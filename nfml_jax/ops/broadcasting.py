"""Broadcasting as in NumPy, whatever the program around it allows."""

import functools
from collections.abc import Callable

import jax


def broadcasting(function: Callable) -> Callable:
    """Return `function` with `jax_numpy_rank_promotion` set to "allow" while it runs.

    A row is added to a matrix on purpose in this package. A user who has JAX raise or
    warn of that, to find mistakes in code of their own, is not stopped here.
    """

    @functools.wraps(function)
    def allowed(*arguments, **options):
        with jax.numpy_rank_promotion("allow"):
            return function(*arguments, **options)

    return allowed


def broadcasting_methods(kind: type, *names: str) -> None:
    """Make the methods of these names `broadcasting` that a class defines itself.

    A base class calls it in `__init_subclass__`, for all that derive from it.
    """
    for name in names:
        if name in vars(kind):
            setattr(kind, name, broadcasting(vars(kind)[name]))
