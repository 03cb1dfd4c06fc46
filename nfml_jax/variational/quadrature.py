"""What a fine grid over the plane tells of a density known but for its normaliser.

The midpoint rule: for smooth densities its error falls faster than any power of the
cells' width, once that is below their finest scale. Both functions take the values at
the centres of equal cells that hold all of the density.
"""

import numpy as np


def kl_on_grid(log_p, log_q, area: float) -> float:
    """KL(p ‖ q) in nats from log p̃ and log q `[cells]`; each cell has this `area`.

    p̃ is normalised by its own sum, q is not. Infinite where q is 0 and p isn't.
    """
    log_p, log_q = (np.asarray(values, np.float64) for values in (log_p, log_q))
    log_p = log_p - np.logaddexp.reduce(log_p) - np.log(area)
    p = np.exp(log_p)
    some = p > 0
    return float((p[some] * (log_p - log_q)[some]).sum() * area)


def draws_on_grid(seed: int, log_p, points, width: float, n: int) -> np.ndarray:
    """`n` draws `[n, D]` of p: a cell by its mass, and a place in it by chance.

    `points [cells, D]` are the centres of cubes of this `width`, in which the density
    is taken for constant: good enough to look at.
    """
    rng = np.random.default_rng(seed)
    log_p = np.asarray(log_p, np.float64)
    mass = np.exp(log_p - log_p.max())
    cells = rng.choice(len(mass), n, p=mass / mass.sum())
    drawn = np.asarray(points)[cells]
    return drawn + width * (rng.random(drawn.shape) - 0.5)
