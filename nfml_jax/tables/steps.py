"""Columns whose values lie on a grid, and noise that fills its cells."""

import numpy as np

_DECIMALS = 9
_FEW = 20
_OFTEN = 4


def discrete_values(column: np.ndarray) -> int:
    """Return the number of values of a column that repeats them often, else 0."""
    values, counts = np.unique(column, return_counts=True)
    often = max(len(column) / 20, _OFTEN)
    few = len(values) < len(column) / 10 or counts.max() > often
    return len(values) if few and len(column) >= _FEW else 0


def grid_step(column: np.ndarray) -> float:
    """Return the largest step of which all differences of values are multiples.

    It is 0 if there is none: for values that no grid of nine decimals holds, and for
    fewer than two values.
    """
    values = np.unique(column)
    if len(values) < 2:
        return 0.0
    for decimals in range(_DECIMALS + 1):
        scaled = values * 10.0**decimals
        whole = np.round(scaled)
        if np.abs(whole).max() > 2**53:
            break
        if np.abs(scaled - whole).max() <= 1e-6 + 1e-15 * np.abs(scaled).max() * 8:
            return float(np.gcd.reduce(np.diff(whole).astype(np.int64))) / 10**decimals
    step = np.diff(values).min()
    places = (values - values[0]) / step
    rounding = np.spacing(np.abs(values).max()) / step * 8
    off = np.abs(places - np.round(places)).max()
    return float(step) if off < max(1e-6, min(rounding, 0.05)) * 1e3 else 0.0


def cell_widths(column: np.ndarray, step: float) -> np.ndarray:
    """Return the width `[N]` of the cell around each value, inside its gap.

    With a grid it is the step; without, the smaller of the gaps to the next values.
    """
    if step:
        return np.full(len(column), step)
    values, where = np.unique(column, return_inverse=True)
    if len(values) < 2:
        return np.zeros(len(column))
    gaps = np.concatenate([[np.inf], np.diff(values), [np.inf]])
    return np.minimum(gaps[:-1], gaps[1:])[where]


def noise_widths(x: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Return the width of each entry's cell `[N, D]`, 0 in columns without steps.

    Args:
      x: rows `[N, D]` of all parts.
      trained: the rows that decide which columns are discrete.
    """
    widths = np.zeros(x.shape)
    for i, column in enumerate(x.T):
        if is_stepped(trained[:, i]):
            widths[:, i] = cell_widths(column, grid_step(column))
    return widths


def is_stepped(column: np.ndarray) -> bool:
    """Return whether a column is discrete, not counting a single repeated value."""
    values = discrete_values(column)
    if not values:
        return False
    return values < len(column) / 10 or grid_step(column) > np.ptp(column) / 1000
