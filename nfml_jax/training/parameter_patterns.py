"""Patterns that choose parameters by their paths.

A pattern such as "kernel*" or "objective/proxies" consists of names as in `fnmatch`; it
matches a path that begins or ends with such names:

>>> matches(("encoder", "Dense_0", "kernel"), "kernel*")
True
>>> matches(("encoder", "Dense_0", "kernel"), "encoder")
True
>>> matches(("encoder", "Dense_0", "bias"), "kernel*")
False
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax

from nfml_jax.errors import UserError
from nfml_jax.ops.devices import SPLIT
from nfml_jax.ops.names import did_you_mean
from nfml_jax.training.settings import DECAYED, OptimizerSettings

PyTree = Any


def matches(path: Sequence[str], pattern: str) -> bool:
    """Return whether a parameter's path begins or ends with a pattern's names."""
    names = pattern.split("/")
    count = len(names)
    return any(
        len(part) == count and all(map(fnmatchcase, part, names))
        for part in (path[:count], path[-count:])
    )


def matching(params: PyTree, patterns: Sequence[str]) -> PyTree:
    """Return for each parameter whether a pattern matches its path.

    The names decide, and not the number of axes: layers that are scanned together
    have their biases stacked as `[layers, features]`.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: any(matches(names_of(path), p) for p in patterns), params
    )


def names_of(path) -> tuple[str, ...]:
    """Return the names along a path of `jax.tree_util`, without marks of sharing."""
    keys = jax.tree_util.keystr(path, simple=True, separator="\n").split("\n")
    return tuple(key.removeprefix(SPLIT) for key in keys)


def check_patterns(params: PyTree, settings: OptimizerSettings) -> None:
    """Raise UserError for a pattern of `settings` that matches none of the parameters.

    The default patterns pass, and so does a multiplier of 1.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    paths = [names_of(path) for path, _ in leaves]
    given = {p: "decay" for p in settings.decay if p not in DECAYED}
    given |= {p: "multipliers" for p, m in settings.multipliers.items() if m != 1.0}
    for pattern, field in given.items():
        if not any(matches(path, pattern) for path in paths):
            beginnings = sorted({p for path in paths for p in path})
            raise UserError(
                f"optimizer.{field} has the pattern {pattern!r}, which matches no "
                f"parameter{did_you_mean(pattern, beginnings)}; the first one's path "
                f"is {'/'.join(paths[0])!r}, and a pattern is its beginning or its end."
            )
