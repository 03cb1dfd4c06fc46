"""Variables of a flow without its initialization, which takes seconds to compile."""

import jax
import numpy as np


def filled(shapes, seed=0):
    """Return variables of these shapes, near those of a new flow.

    Parameters are small random numbers, and constants are signs and permutations.
    """
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        if path[0].key == "params":
            return rng.normal(0, 0.1, leaf.shape).astype(leaf.dtype)
        ones = np.ones(leaf.shape, leaf.dtype)
        return ones if leaf.dtype.kind == "f" else ones.cumsum(-1).astype(int) - 1

    return jax.tree_util.tree_map_with_path(fill, shapes)
