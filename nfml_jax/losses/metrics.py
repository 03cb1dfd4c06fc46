"""How near two embeddings are: matrices of anchors against references."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nfml_jax.heads.angles import direction_and_norm


class Metric(NamedTuple):
    """`values(anchors [A, D], references [R, D]) -> [A, R]`, and those as distances.

    `chord` gives the Euclidean distance of unit vectors from the metric's distance,
    where there is one.
    """

    values: Callable[[jax.Array, jax.Array], jax.Array]
    distance: Callable[[jax.Array], jax.Array]
    chord: Callable[[jax.Array], jax.Array] | None = None


def inner(anchors, references):
    """Inner products [A, R]."""
    return jnp.matmul(anchors, references.T, precision=jax.lax.Precision.HIGHEST)


def cosine(anchors, references):
    """Cosines [A, R], 0 with the zero vector."""
    return inner(direction_and_norm(anchors)[0], direction_and_norm(references)[0])


def squared(anchors, references):
    """Squared Euclidean distances [A, R], not below 0."""
    return _squared_and_scale(anchors, references)[0]


def euclidean(anchors, references):
    """Euclidean distances [A, R].

    Points closer than the precision can tell are at distance 0, without a gradient,
    which would be rounding error divided by rounding error.
    """
    square, scale = _squared_and_scale(anchors, references)
    apart = square > 4.0 * jnp.finfo(square.dtype).eps * scale
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)


def snr(anchors, references):
    """Noise-to-signal ratios var(r - a) / var(a) [A, R]: Yuan et al. 2019, eq. 6.

    The variance is over the coordinates of a vector; not symmetric.
    """
    a = anchors - jnp.mean(anchors, axis=-1, keepdims=True)
    r = references - jnp.mean(references, axis=-1, keepdims=True)
    signal = jnp.sum(a * a, axis=-1, keepdims=True)
    return squared(a, r) / jnp.maximum(signal, 1e-12)


def _squared_and_scale(anchors, references):
    of_anchors = jnp.sum(anchors * anchors, axis=-1)[:, None]
    of_references = jnp.sum(references * references, axis=-1)[None, :]
    scale = of_anchors + of_references
    square = scale - 2.0 * inner(anchors, references)
    return jnp.maximum(square, 0.0), scale


def _itself(values):
    return values


METRICS = {
    "cosine": Metric(cosine, lambda c: 1.0 - c, lambda d: jnp.sqrt(2.0 * abs(d))),
    "inner": Metric(inner, jnp.negative),
    "euclidean": Metric(euclidean, _itself, _itself),
    "squared": Metric(squared, _itself, jnp.sqrt),
    "snr": Metric(snr, _itself),
}
