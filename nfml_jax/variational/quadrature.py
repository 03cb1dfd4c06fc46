"""What a fine grid over the plane tells of a density known but for its normaliser.

The midpoint rule: for smooth densities its error falls faster than any power of the
cells' width, once that is below their finest scale. Both functions take the values at
the centres of equal cells that hold all of the density.
"""

import numpy as np

from nfml_jax.errors import UserError


def kl_on_grid(log_p, log_q, area: float) -> float:
    """KL(p ‖ q) in nats from log p̃ and log q `[cells]`; each cell has this `area`.

    p̃ is normalised by its own sum, q is not. Infinite where q is 0 and p isn't.
    UserError if p̃ is zero in every cell, or not finite in some.
    """
    log_p, log_q = (np.asarray(values, np.float64) for values in (log_p, log_q))
    _check(log_p)
    log_p = log_p - np.logaddexp.reduce(log_p) - np.log(area)
    p = np.exp(log_p)
    some = p > 0
    return float((p[some] * (log_p - log_q)[some]).sum() * area)


def draws_on_grid(seed: int, log_p, points, width: float, n: int) -> np.ndarray:
    """`n` draws `[n, D]` of p: a cell by its mass, and a place in it by chance.

    `points [cells, D]` are the centres of cubes of this `width`, in which the density
    is taken for constant: good enough to look at. UserError as in `kl_on_grid`.
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
            "lay the grid over the density, and leave out what is NaN or infinite."
        )
