"""Variables to check laws at, since many modules start as the identity.

XLA compiles the random numbers of many parameters for longer than a small module.
"""

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def perturb(params, key: Array, spread: float):
    """Return `params` with normal noise of deviation `spread` added to each leaf."""
    leaves, structure = jax.tree.flatten(params)
    ends = np.cumsum([0, *(leaf.size for leaf in leaves)])
    noise = spread * jax.random.normal(key, (int(ends[-1]),))
    moved = [
        leaf + noise[start:end].reshape(leaf.shape).astype(leaf.dtype)
        for leaf, start, end in zip(leaves, ends, ends[1:], strict=False)
    ]
    return jax.tree.unflatten(structure, moved)


def moved_by_numpy(params, seed: int, spread: float):
    """Return `params` with NumPy's normal noise, for which nothing is compiled."""
    rng = np.random.default_rng(seed)

    def moved(leaf):
        noise = spread * rng.normal(size=leaf.shape)
        return jnp.asarray(np.asarray(leaf) + noise.astype(leaf.dtype))

    return jax.tree.map(moved, params)


def start(module, *arguments, seed: int = 0, spread: float = 0.0) -> dict:
    """Return the variables of a module, whose kernels NumPy draws.

    All other variables are those of `module.init` at `arguments`; the parameters are
    then moved by normal noise of deviation `spread`.
    """
    rng = np.random.default_rng(seed)
    structure, kernels = None, {}

    @jax.jit
    def others(key, arguments):
        nonlocal structure
        variables = module.init(key, *arguments)
        paths, structure = jax.tree_util.tree_flatten_with_path(variables)
        for number, (path, leaf) in enumerate(paths):
            if getattr(path[-1], "key", None) == "kernel":
                kernels[number] = jax.typeof(leaf)
        return [None if i in kernels else leaf for i, (_, leaf) in enumerate(paths)]

    leaves = others(jax.random.key(seed), arguments)
    for number, kernel in kernels.items():
        fan_in = max(1, int(np.prod(kernel.shape[:-1])))
        drawn = rng.normal(size=kernel.shape) / fan_in**0.5
        leaves[number] = jnp.asarray(drawn, kernel.dtype)
    variables = dict(jax.tree.unflatten(structure, leaves))
    if "params" in variables:
        variables["params"] = moved_by_numpy(variables["params"], seed + 1, spread)
    return variables
