"""Mean and standard deviation of columns of any size."""

import numpy as np


def center_and_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of columns, both float64 `[D]`.

    Columns whose squares or sums would over- or underflow are divided first.
    """
    with np.errstate(all="ignore"):
        shift = rows.mean(axis=0, dtype=np.float64)
        scale = rows.std(axis=0, dtype=np.float64)
        good = np.isfinite(shift) & np.isfinite(scale) & (scale > 1e-140)
        for i in np.flatnonzero(~good):
            column = rows[:, i].astype(np.float64)
            largest = np.abs(column).max()
            if largest > 0:
                column = column / largest
                shift[i], scale[i] = column.mean() * largest, column.std() * largest
    return shift, scale


def standardized(rows: np.ndarray, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return (rows - shift) / scale, even where the difference would overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        z = (rows - shift) / scale
        if not np.isfinite(z).all():
            z = np.where(np.isfinite(z), z, rows / scale - shift / scale)
    return z
