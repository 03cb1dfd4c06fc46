"""Similarities and distances: matrices of anchors against references."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.distances import (
    distances,
    largest,
    power_of_two,
    squared_distances,
)


class Metric(NamedTuple):
    """A similarity or a distance of embeddings.

    Attributes:
      values: a function `(anchors [A, D], references [R, D], among) -> [A, R]`. `among`
        `[A, R]`, or None for all, marks the pairs whose values must be exact.
      distance: a function from values to distances.
      chord: a function from distances to Euclidean distances of unit vectors, or None.

    >>> cosines = METRICS["cosine"]
    >>> values = cosines.values(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0]]))
    >>> float(cosines.distance(values)[0, 0])
    1.0

    """

    values: Callable[..., jax.Array]
    distance: Callable[[jax.Array], jax.Array]
    chord: Callable[[jax.Array], jax.Array] | None = None


def inner(anchors, references, among=None):
    """Return the inner products `[A, R]`.

    >>> inner(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]])).tolist()
    [[11.0]]
    """
    return jnp.matmul(anchors, references.T, precision=jax.lax.Precision.HIGHEST)


def cosine(anchors, references, among=None):
    """Return the cosines `[A, R]`, which are 0 for the zero vector.

    >>> cosine(jnp.array([[3.0, 4.0]]), jnp.array([[2.0, 0.0]])).tolist()
    [[0.6...]]
    """
    return inner(direction_and_norm(anchors)[0], direction_and_norm(references)[0])


def snr(anchors, references, among=None):
    """Return the noise-to-signal ratios var(r - a) / var(a) `[A, R]`.

    Yuan et al. 2019, eq. 6. The variance is over the coordinates of a vector. The ratio
    is not symmetric.

    >>> snr(jnp.array([[1.0, -1.0]]), jnp.array([[3.0, -3.0]])).tolist()
    [[4.0]]
    """
    a = anchors - jnp.mean(anchors, axis=-1, keepdims=True)
    r = references - jnp.mean(references, axis=-1, keepdims=True)
    scale = power_of_two(jnp.maximum(largest(a), largest(r)))
    a, r = a / scale, r / scale
    signal = jnp.sum(a * a, axis=-1, keepdims=True)
    return squared_distances(a, r, among) / jnp.maximum(signal, 1e-12)


def _itself(values):
    return values


METRICS = {
    "cosine": Metric(cosine, lambda c: 1.0 - c, lambda d: jnp.sqrt(2.0 * abs(d))),
    "inner": Metric(inner, jnp.negative),
    "euclidean": Metric(distances, _itself, _itself),
    "squared": Metric(squared_distances, _itself, jnp.sqrt),
    "snr": Metric(snr, _itself),
}
