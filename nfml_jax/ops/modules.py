"""The parts of Flax modules: the modules and other values in their fields."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax


def parts_of(module: nn.Module) -> list[Any]:
    """Return the values in a module's fields, and those within tuples there.

    >>> parts_of(nn.Sequential((nn.Dense(2), nn.Dense(3))))[0].features
    2
    """
    fields = {field.name for field in dataclasses.fields(module)} - {"parent"}
    return jax.tree.leaves(
        [getattr(module, name) for name in sorted(fields)],
        is_leaf=lambda part: isinstance(part, nn.Module),
    )


def any_part(module: Any, holds: Callable[[Any], bool]) -> bool:
    """Return whether `holds` is true of a module or of a part of it, at any depth.

    >>> any_part(nn.Sequential((nn.Dense(2),)), lambda part: isinstance(part, nn.Dense))
    True
    """
    if holds(module):
        return True
    if not isinstance(module, nn.Module):
        return False
    return any(any_part(part, holds) for part in parts_of(module))
