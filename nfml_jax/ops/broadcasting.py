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
