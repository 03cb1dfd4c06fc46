"""How embeddings lie: angles to classes, spread over the sphere, hubs and spectrum.

Angles are those of Table 3 of Deng et al., "ArcFace: Additive Angular Margin Loss for
Deep Face Recognition", CVPR 2019, in degrees.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    TILE,
    check_digits,
    check_labels,
    check_needed,
    check_same_dimensions,
    needed_digits,
    pair_tiles,
    unit,
)
from nfml_jax.evaluation.neighbours import top_k
from nfml_jax.ops.broadcasting import broadcasting


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle [...] between vectors `a` and `b` [..., D], in degrees, 0 to 180.

    2 atan2(‖â − b̂‖, ‖â + b̂‖) of the unit vectors: unlike acos it keeps float32's full
    accuracy near 0 and 180 degrees. A zero vector is at 90 degrees to any other.
    """
    a, b = unit(a), unit(b)
    norm = np.linalg.norm
    return np.rad2deg(2 * np.arctan2(norm(a - b, axis=-1), norm(a + b, axis=-1)))


def _nearest_others(queries, gallery, own, k: int = 1, chunk: int = TILE):
    """The k gallery rows [Q, k] nearest in angle to each query, but for row `own` [Q].

    Chosen by cosine: among rows within 0.02 degrees of each other it may take another.
    """
    _, nearest = top_k(queries, gallery, k + 1, chunk=chunk)
    # False sorts first: the own row goes last, and else the last one is too many.
    others = np.argsort(nearest == np.reshape(own, (-1, 1)), axis=1, kind="stable")
    return np.take_along_axis(nearest, others[:, :k], axis=1)


def _nearest_other(queries, gallery, own, chunk: int):
    if len(gallery) < 2:
        raise UserError("Angles between classes need at least two classes; found one.")
    return _nearest_others(queries, gallery, own, chunk=chunk)[:, 0]


def _nearest_angle(x: np.ndarray, chunk: int) -> np.ndarray:
    return angle(x, x[_nearest_other(x, x, np.arange(len(x)), chunk)])


def class_means(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean unit embedding [K, D] of each class that occurs, and the classes.

    embeddings [N, D], labels [N], classes [K].
    """
    embeddings = check_digits(embeddings)
    labels = check_labels(labels, len(embeddings))
    dtype = needed_digits(embeddings).dtype
    classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(unit(embeddings)[order], starts, axis=0, dtype=np.float64)
    return (sums / counts[:, None]).astype(dtype), classes


def target_angles(embeddings, weights, labels) -> np.ndarray:
    """The angle [N] between each embedding [N, D] and its class's weight of [C, D]."""
    embeddings, weights, labels = _checked(embeddings, weights, labels)
    return angle(embeddings, weights[labels])


def nearest_other_angles(embeddings, weights, labels, chunk: int = TILE) -> np.ndarray:
    """The angle [N] between each embedding and the nearest weight of another class."""
    embeddings, weights, labels = _checked(embeddings, weights, labels)
    return angle(
        embeddings, weights[_nearest_other(embeddings, weights, labels, chunk)]
    )


def angle_statistics(
    embeddings, labels, weights=None, chunk: int = TILE
) -> dict[str, float]:
    """The four statistics of ArcFace's Table 3, in degrees.

    embeddings [N, D], labels [N], and class weights [C, D] where the model has them.

    * `w_ec`: mean angle between a class's weight and the centre of its embeddings;
    * `w_inter`: mean over classes of the smallest angle to another class's weight;
    * `intra`: mean angle between an embedding and the centre of its class;
    * `inter`: mean over classes of the smallest angle to another class's centre.

    The centre is the mean of the unit embeddings; classes without examples count in
    `w_inter` only. UserError for fewer than two classes, or labels without a weight.
    """
    if weights is None:
        embeddings = check_needed(embeddings)
        labels = check_labels(labels, len(embeddings))
    else:
        embeddings, weights, labels = _checked(embeddings, weights, labels)
    centres, classes = class_means(embeddings, labels)
    own = centres[np.searchsorted(classes, labels)]
    angles = {"intra": angle(embeddings, own), "inter": _nearest_angle(centres, chunk)}
    if weights is not None:
        angles["w_ec"] = angle(weights[classes], centres)
        angles["w_inter"] = _nearest_angle(weights, chunk)
    return {
        name: float(values.mean(dtype=np.float64)) for name, values in angles.items()
    }


def alignment(embeddings, labels) -> float:
    """The mean squared distance of two unit embeddings of one class, over all pairs.

    Wang and Isola, ICML 2020, with α = 2: 0 when classes are points. UserError
    when no class has two examples.
    """
    embeddings = check_needed(embeddings)
    labels = check_labels(labels, len(embeddings))
    means, classes = class_means(embeddings, labels)
    own = np.searchsorted(classes, labels)
    counts = np.bincount(own)
    pairs = np.sum(counts * (counts - 1) / 2)
    if not pairs:
        raise UserError(
            f"Each of the {len(labels)} examples has a class of its own; alignment "
            "needs a class with two or more."
        )
    # Over pairs of a class the squares add up to n times those from its mean.
    squares = np.sum((unit(embeddings) - means[own]) ** 2, axis=1, dtype=np.float64)
    return float(np.sum(counts[own] * squares) / pairs)


@functools.partial(jax.jit, static_argnames="t")
@broadcasting
def _potential_tile(rows, columns, t):
    (a, i), (b, j) = rows, columns
    # The full float32 product also where the hardware's default is coarser.
    products = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None]
    squares -= 2 * products
    counted = (i[:, None] >= 0) & (i[:, None] < j[None])
    return jnp.sum(jnp.where(counted, jnp.exp(-t * squares), 0))


def uniformity(embeddings, t: float = 2.0, chunk: int = TILE) -> float:
    """log of the mean of exp(-t ‖x - y‖²) over all pairs of unit embeddings.

    Wang and Isola, ICML 2020: 0 when all are one point, the lower the more
    evenly they spread over the sphere. UserError for fewer than two.
    """
    embeddings = check_needed(embeddings)
    pairs = len(embeddings) * (len(embeddings) - 1) / 2
    if not pairs:
        raise UserError("Uniformity of one embedding; expected two or more.")
    tiles = pair_tiles(unit(embeddings), size=chunk)
    return float(np.log(sum(float(_potential_tile(*two, t)) for two in tiles) / pairs))


def hubness(embeddings, k: int = 10, chunk: int = TILE) -> float:
    """Skewness of how often each embedding is among the k nearest of the others.

    Neighbours by cosine. Radovanović, Nanopoulos and Ivanović, JMLR 2010: 0
    when all occur alike, large when a few hubs are near everything. UserError for k
    outside 1 … N - 1.
    """
    embeddings = check_needed(embeddings)
    count = len(embeddings)
    if not 1 <= k < count:
        raise UserError(f"k is {k}; expected 1 to the {count - 1} other embeddings.")
    nearest = _nearest_others(embeddings, embeddings, np.arange(count), k, chunk)
    occurrences = np.bincount(nearest.ravel(), minlength=count)
    centred = occurrences - occurrences.mean()
    return float(np.mean(centred**3) / max(occurrences.std(), 1e-12) ** 3)


def spectrum_decay(embeddings) -> float:
    """ρ: KL divergence of the uniform from the normalised singular values, in nats.

    Roth et al., "Revisiting Training Strategies and Generalization Performance in Deep
    Metric Learning", ICML 2020: 0 when all directions are used alike, the larger the
    fewer are. Of unit embeddings [N, D], not centred, as there. Infinite when they span
    fewer than min(N, D) directions.
    """
    x = unit(check_needed(embeddings))
    if len(x) < x.shape[1]:
        x = x.T
    gram = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), TILE):
        rows = x[start : start + TILE].astype(np.float64)
        gram += rows.T @ rows
    squares = np.linalg.eigvalsh(gram)
    if squares[0] <= squares[-1] * len(gram) * np.finfo(np.float32).eps ** 2:
        return float("inf")
    values = np.sqrt(squares)
    return float(-np.mean(np.log(len(values) * values / values.sum())))


def _checked(embeddings, weights, labels):
    embeddings = check_needed(embeddings)
    weights = check_needed(weights, "class weights")
    labels = check_labels(labels, len(embeddings), len(weights))
    check_same_dimensions(embeddings, weights, "Embeddings and class weights")
    return embeddings, weights, labels
