"""KL divergence and draws from a fine grid, for a density up to its normalizer.

The divergence is from the midpoint rule. For smooth densities its error falls faster
than any power of the cells' width, once that is below their finest scale. Both
functions take the values at the centers of equal cells that contain all of the density.
"""

import numpy as np

from nfml_jax.errors import UserError


def kl_on_grid(log_p, log_q, area: float) -> float:
    """Return KL(p ‖ q) in nats from values on a grid.

    Args:
      log_p: log p̃ `[cells]`, which is normalized by its own sum.
      log_q: log q `[cells]`, which is not normalized.
      area: The area of a cell.

    Returns:
      The divergence, infinite if q is 0 where p is not.

    Raises:
      UserError: p̃ is zero in every cell, or not finite in some.

    >>> import math
    >>> round(kl_on_grid([0.0, 0.0], [math.log(0.75), math.log(0.25)], area=1.0), 3)
    0.144
    """
    log_p, log_q = (np.asarray(values, np.float64) for values in (log_p, log_q))
    _check(log_p)
    log_p = log_p - np.logaddexp.reduce(log_p) - np.log(area)
    p = np.exp(log_p)
    some = p > 0
    return float((p[some] * (log_p - log_q)[some]).sum() * area)


def draws_on_grid(seed: int, log_p, points, width: float, n: int) -> np.ndarray:
    """Return `n` draws `[n, D]` of p, for a figure.

    A draw selects a cell by its mass, and is uniform within the cell.

    Args:
      seed: The seed of the draws.
      log_p: log p̃ `[cells]`.
      points: The centers of the cells `[cells, D]`.
      width: The width of a cell.
      n: The number of draws.

    Raises:
      UserError: p̃ is zero in every cell, or not finite in some.

    >>> draws = draws_on_grid(0, [0.0, -np.inf], [[0.5], [1.5]], width=1.0, n=3)
    >>> draws.shape, bool((draws < 1).all())
    ((3, 1), True)
    """
    rng = np.random.default_rng(seed)
    log_p = np.asarray(log_p, np.float64)
    _check(log_p)
    mass = np.exp(log_p - log_p.max())
    cells = rng.choice(len(mass), n, p=mass / mass.sum())
    drawn = np.asarray(points)[cells]
    return drawn + width * (rng.random(drawn.shape) - 0.5)


def _check(log_p):
    if not np.isfinite(log_p.max()):
        raise UserError(
            f"The largest log-density on the grid is {log_p.max()}; it must be finite: "
            "choose a grid that covers the density, without NaN or infinite values."
        )
