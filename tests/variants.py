"""The law of public pure functions: compiled and mapped they give the same."""

import chex
import jax
from absl import flags

# One device is enough to see that a function can be mapped over devices.
flags.FLAGS["chex_skip_pmap_variant_if_single_device"].value = False

every_variant = chex.variants(with_jit=True, without_jit=True, with_pmap=True)


def check_variants(variant, function, mapped, *arguments, tolerance=1e-5):
    """Check that a `variant` of a function, and of its mapped form, give the same."""
    expected = jax.jit(function)(*arguments)
    for form in function, mapped:
        found = variant(form)(*arguments)
        chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
        chex.assert_trees_all_close(found, expected, rtol=tolerance, atol=tolerance)
    assert all(leaf.size for leaf in jax.tree.leaves(expected))
