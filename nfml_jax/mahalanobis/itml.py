"""Information-theoretic metric learning: Davis et al. (ICML 2007).

Among all W under which similar pairs are near and others far, it finds the one whose
Gaussian diverges least from that of the identity. Bregman projections onto the
constraint of one pair after another are each in closed form and of rank one.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.mahalanobis.learner import check_neighbors, learner, warn_if_unmoved

PERCENTILES = 5, 95
"""Percentiles of squared distances: bounds of similar pairs, and of others."""
LEAST = 1e-9
"""The least bound of a squared distance; zero has no slack."""


@partial(jax.jit, static_argnames="sweeps")
def project(apart, signs, bounds, gamma, *, sweeps: int, tolerance: float = 1e-3):
    """Return W `[D, D]` and the slack bounds ξ `[M]`: algorithm 1 of the paper.

    The paper's α = δ/2 (1/p - γ/ξ) is meant for γ = 1. Solving its two conditions gives
    γ/(γ + 1) in place of 1/2, as in the authors' code.

    Args:
      apart: the differences `[M, D]` of pairs.
      signs: 1 `[M]` for pairs whose squared distance under W should be at most the
        bound, and -1 for those where it should be at least the bound.
      bounds: bounds `[M]` of the squared distances.
      gamma: a large one holds W to the bounds, a small one to the identity.
      sweeps: the number of passes over all pairs, at most.
      tolerance: the relative change of the multipliers in one pass at which to end.
    """

    def one(i, carry):
        w, slack, multipliers = carry
        v, sign = apart[i], signs[i]
        wv = w @ v
        p = v @ wv
        # Equal rows are at distance zero under every W.
        real = p > 0
        p = jnp.where(real, p, 1)
        wanted = sign * gamma / (gamma + 1) * (1 / p - 1 / slack[i])
        alpha = jnp.where(real, jnp.minimum(multipliers[i], wanted), 0)
        step = sign * alpha
        w = w + step / (1 - step * p) * jnp.outer(wv, wv)
        slack = slack.at[i].set(1 / (1 / slack[i] + step / gamma))
        return w, slack, multipliers.at[i].add(-alpha)

    def sweep(carry):
        before = carry[0]
        after = lax.fori_loop(0, len(apart), one, before)
        moved = jnp.abs(after[2] - before[2]).sum()
        size = jnp.linalg.norm(after[2]) + jnp.linalg.norm(before[2])
        return after, carry[1] + 1, moved > tolerance * size

    nothing = jnp.zeros(len(apart), apart.dtype)
    first = jnp.eye(apart.shape[1], dtype=apart.dtype), bounds, nothing
    carry = lax.while_loop(
        lambda carry: (carry[1] < sweeps) & carry[2], sweep, (first, 0, True)
    )
    return carry[0][:2]


def divergence(w, slack, bounds, gamma) -> float:
    """Return the objective of ITML, D(W, I) + γ D(diag ξ, diag ξ₀).

    D is the LogDet divergence.
    """
    ratio = np.asarray(slack) / np.asarray(bounds)
    metric = np.trace(w) - np.linalg.slogdet(w)[1] - len(w)
    return float(metric + gamma * np.sum(ratio - np.log(ratio) - 1))


def draw_pairs(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return pairs of rows `[count, 2]`, half of them of one class, half of two.

    There are fewer if too few are drawn. A pair is two different rows, and may come
    twice.
    """
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(labels), (2, 64 * count))
    alike = labels[first] == labels[second]
    pairs = np.stack([first, second], axis=1)
    same = pairs[alike & (first != second)][: count // 2]
    return np.concatenate([same, pairs[~alike][: count - len(same)]])


@learner
def itml(
    x,
    labels,
    *,
    gamma: float = 1.0,
    pairs: int = 0,
    sweeps: int = 200,
    seed: int = 0,
):
    """Return L `[D, D]` with LᵀL = W, learned from drawn pairs of rows.

    Pairs of one class should come within the 5th percentile of the squared distances
    between rows, and others beyond the 95th.

    Args:
      x: rows `[N, D]`.
      labels: integers `[N]`.
      gamma: the weight of the slack; a large one holds W to the bounds.
      pairs: the number of pairs; 0 takes 20 C² pairs for C classes, as in the paper,
        and at least 1,000.
      sweeps: the number of passes over all pairs, at most.
      seed: the seed of the draw.

    Raises:
      UserError: for fewer than two classes, no class of two rows, or an option out of
        range.

    >>> x = [[0.0, 0.0], [1.0, 0.1], [0.5, 0.2], [0.0, 1.0], [1.0, 1.1], [0.5, 1.2]]
    >>> L = itml(x, [0, 0, 0, 1, 1, 1], pairs=8, sweeps=2)
    >>> (L.T @ L).shape
    (2, 2)
    """
    check_neighbors(labels, "itml")
    if not 0 < gamma < np.inf:
        raise UserError(f"itml got gamma={gamma!r}; expected a number above 0.")
    if pairs and pairs < 2:
        raise UserError(f"itml got pairs={pairs!r}; expected 2 or more, or 0.")
    count = pairs or max(1000, 20 * len(np.unique(labels)) ** 2)
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(x), (2, max(10 * count, 1000)))
    spread = np.sum((x[first] - x[second])[first != second] ** 2, axis=1)
    near, far = np.maximum(np.percentile(spread, PERCENTILES), LEAST)
    chosen = draw_pairs(labels, count, seed + 1)
    signs = np.where(labels[chosen[:, 0]] == labels[chosen[:, 1]], 1.0, -1.0)
    bounds = np.where(signs > 0, near, far)
    apart = x[chosen[:, 0]] - x[chosen[:, 1]]
    w, _ = project(apart, signs, bounds, gamma, sweeps=sweeps)
    if sweeps:
        warn_if_unmoved("itml", np.asarray(w), np.eye(len(w)))
    values, axes = np.linalg.eigh(w)
    return np.sqrt(np.maximum(values, 0))[:, None] * axes.T
