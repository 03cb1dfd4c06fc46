"""Dependency structures of autoregressive networks: orders and acyclic graphs."""

import numpy as np

from nfml_jax.errors import UserError


def adjacency_of(order, adjacency, event_dim: int) -> np.ndarray:
    """Return the adjacency `[D, D]` of an order or an adjacency, after checks.

    Args:
      order: "natural", "reverse", or all coordinates in their order.
      adjacency: A matrix of booleans, or None.
      event_dim: D.

    Raises:
      UserError: They don't fit events of D coordinates.
    """
    if event_dim == 0:
        raise UserError("An autoregressive map needs events of one coordinate.")
    if adjacency is not None:
        adjacency = np.asarray(adjacency, bool)
        if adjacency.shape != (event_dim, event_dim) or order != "natural":
            raise UserError(
                f"The adjacency has shape {list(adjacency.shape)} and the order is "
                f"{order!r}; for events of {event_dim} coordinates give a "
                f"[{event_dim}, {event_dim}] adjacency and no order, or an order."
            )
        return adjacency
    if isinstance(order, str):
        orders = {"natural": range(event_dim), "reverse": range(event_dim)[::-1]}
        sequence = orders.get(order)
    else:
        sequence = list(order)
    if sequence is None or sorted(sequence) != list(range(event_dim)):
        raise UserError(
            f"The order is {order!r} for events of {event_dim} coordinates; "
            "give 'natural', 'reverse', or each of their numbers from 0 once."
        )
    rank = np.argsort(sequence)
    return rank[:, None] > rank


def assign_units(width: int, kinds: int, seed: int | None) -> np.ndarray:
    """Return the kind `[width]` of each hidden unit, in ascending order.

    Without a `seed` the kinds have equal shares. With one, each kind has one unit, and
    the kinds of the others are random.

    Raises:
      UserError: There are fewer units than kinds.
    """
    if width < kinds:
        raise UserError(
            f"A hidden layer has {width} units for {kinds} different sets of "
            f"coordinates to depend on; make it {kinds} wide or wider."
        )
    if seed is None:
        return np.arange(width) * kinds // width
    drawn = np.random.default_rng(seed).integers(kinds, size=width - kinds)
    return np.sort(np.concatenate([np.arange(kinds), drawn]))


def contained(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Return booleans `[n, m]`: row n of `small` is a subset of row m of `large`."""
    return small.astype(np.float32) @ (~large).T.astype(np.float32) == 0


def levels_of(adjacency: np.ndarray) -> np.ndarray:
    """Return the length `[D]` of each coordinate's longest chain of dependencies."""
    levels = np.full(len(adjacency), -1)
    waits_for = adjacency.sum(1)
    level, ready = 0, waits_for == 0
    while ready.any():
        levels[ready] = level
        waits_for = waits_for - adjacency[:, ready].sum(1)
        level, ready = level + 1, (waits_for == 0) & (levels < 0)
    if (levels < 0).any():
        cycle = np.flatnonzero(levels < 0).tolist()
        raise UserError(
            f"The adjacency makes coordinates {cycle} depend on themselves; remove a "
            "dependency that closes the cycle."
        )
    return levels
