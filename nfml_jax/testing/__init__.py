"""The laws of bijectors, as checks for any test suite.

    check_bijector(bijector, x, context)

raises AssertionError, which names the law, for a bijector that breaks one.
"""

from nfml_jax.testing.laws import check_bijector, finite_gradients
from nfml_jax.testing.variables import perturb, start

__all__ = ["check_bijector", "finite_gradients", "perturb", "start"]
