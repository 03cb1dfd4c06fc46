"""One-shot and few-shot classification, in random episodes or in given runs.

Episodes and prototypes are those of Snell, Swersky and Zemel, "Prototypical Networks
for Few-shot Learning", NeurIPS 2017. Given runs are those of Lake, Salakhutdinov and
Tenenbaum, Science 2015, with 20 fixed trials within alphabets.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_needed, check_same_dimensions
from nfml_jax.evaluation.similarities import check_metric
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.distances import CANCELLED, unit
from nfml_jax.ops.labels import check_labels

EPISODES = 64
"""The number of episodes drawn and evaluated at a time."""


def episodes(
    embeddings,
    labels,
    ways: int,
    shots: int,
    queries: int = 15,
    count: int = 1000,
    *,
    seed: int = 0,
    metric: str = "cosine",
    normalize: bool = True,
) -> dict[str, float]:
    """Return the mean accuracy of random episodes, with a confidence interval.

    An episode draws `ways` classes, and of each class `shots` examples and `queries`
    others. A query is assigned to the class of the nearest prototype, which is the mean
    of the class's shots. Of equally near prototypes the one drawn first wins. The same
    seed gives the same episodes for any embeddings of the same labels.

    Args:
      embeddings: `[N, D]`.
      labels: integers `[N]`.
      ways: the number of classes in an episode.
      shots: the number of examples that form a prototype.
      queries: the number of queries of each class.
      count: the number of episodes.
      seed: the seed of the draws.
      metric: a name in `similarities.SIMILARITIES`.
      normalize: True if embeddings are scaled to unit length first.

    Returns:
      `accuracy`, and `accuracy_ci95`, which is 1.96 standard errors over episodes.

    Raises:
      UserError: for fewer classes than `ways`, or a class with fewer than shots +
        queries examples.

    >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> episodes(embeddings, [0, 0, 1, 1], ways=2, shots=1, queries=1)["accuracy"]
    1.0
    """
    embeddings, labels = _checked(embeddings, labels, metric)
    for name, value, least in (
        ("ways", ways, 2),
        ("shots", shots, 1),
        ("queries", queries, 1),
        ("count", count, 2),
    ):
        named: dict[str, Any] = {name: value}
        check_integer(None, -1, **named)
        if value < least:
            raise UserError(f"{name} is {value}; expected {least} or more.")
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < ways:
        raise UserError(
            f"ways is {ways}; expected at most {len(classes)}, the classes."
        )
    if sizes.min() < shots + queries:
        raise UserError(
            f"class {classes[sizes.argmin()]} has {sizes.min()} examples; expected at "
            f"least {shots + queries}, for {shots} shots and {queries} queries."
        )
    x = unit(embeddings) if normalize else embeddings
    by_class, rng = np.argsort(labels, kind="stable"), np.random.default_rng(seed)
    first = np.cumsum(sizes) - sizes
    accuracies = []
    for start in range(0, count, EPISODES):
        some = min(EPISODES, count - start)
        drawn = rng.random((some, len(classes))).argsort(axis=1)[:, :ways]
        rows = _without_replacement(rng, sizes[drawn], shots + queries)
        rows = by_class[first[drawn][..., None] + rows]  # [some, ways, examples]
        prototypes = x[rows[..., :shots]].mean(axis=2)
        similarity = _similarity(x[rows[..., shots:]], prototypes, metric)
        right = similarity.argmax(axis=-1) == np.arange(ways)[:, None]
        accuracies.append(right.mean(axis=(1, 2)))
    accuracies = np.concatenate(accuracies)
    error = accuracies.std(ddof=1) / np.sqrt(count)
    return {
        "accuracy": float(accuracies.mean()),
        "accuracy_ci95": float(scipy.stats.norm.ppf(0.975) * error),
    }


def runs(given: Iterable, *, metric: str = "cosine") -> dict[str, float]:
    """Return the mean accuracy of given runs, and its standard error.

    A query is assigned the label of the most similar support example; of equally
    similar ones the first wins. Every run has the same weight, as in Lake et al.

    Args:
      given: runs, each (support `[S, D]`, support_labels `[S]`, queries `[Q, D]`,
        query_labels `[Q]`).
      metric: a name in `similarities.SIMILARITIES`.

    Returns:
      `accuracy` and `accuracy_error`.

    Raises:
      UserError: for no runs, or arrays that don't fit.

    >>> run = np.eye(2), [4, 7], [[0.9, 0.1], [0.8, 0.2]], [4, 7]
    >>> runs([run])["accuracy"]
    0.5
    """
    accuracies = [_run(*run, metric=metric) for run in given]
    if not accuracies:
        raise UserError("the list of runs is empty; expected one or more.")
    error = (
        np.std(accuracies, ddof=1) / np.sqrt(len(accuracies)) if accuracies[1:] else 0
    )
    return {"accuracy": float(np.mean(accuracies)), "accuracy_error": float(error)}


def _run(support, support_labels, queries, query_labels, metric):
    """Return the accuracy of one run."""
    support, support_labels = _checked(support, support_labels, metric, "support")
    queries, query_labels = _checked(queries, query_labels, metric, "queries")
    check_same_dimensions(queries, support, "Queries and support")
    nearest = _similarity(queries[None], support, metric)[0].argmax(axis=-1)
    return np.mean(support_labels[nearest] == query_labels)


def _checked(embeddings, labels, metric, name="embeddings"):
    """Return embeddings `[N, D]` and labels `[N]` that fit each other."""
    check_metric(metric)
    embeddings = check_needed(embeddings, name)
    return embeddings, check_labels(labels, len(embeddings), name=f"labels of {name}")


def _without_replacement(rng, sizes, draws: int) -> np.ndarray:
    """Return distinct numbers `[..., draws]` below each of `sizes` `[...]`.

    Their order is random. This is Floyd's algorithm for all sizes at once, whose memory
    does not grow with them.
    """
    chosen = np.full((*sizes.shape, draws), -1)
    for i in range(draws):
        last = sizes - draws + i
        number = rng.integers(0, last + 1)
        taken = (chosen == number[..., None]).any(axis=-1)
        chosen[..., i] = np.where(taken, last, number)
    return rng.permuted(chosen, axis=-1)


def _similarity(queries, prototypes, metric):
    """Return scores `[..., W, Q, P]` that rank like similarities.

    They are of queries `[..., W, Q, D]` and prototypes `[..., P, D]`. Where several
    prototypes are so near a query that products cancel, scores are computed from
    differences.
    """
    if metric == "cosine":
        queries, prototypes = unit(queries), unit(prototypes)
    else:
        size = max(np.abs(queries).max(), np.abs(prototypes).max())
        if size > 0 and not 1e-9 < size < 1e9:
            scale = 2.0 ** np.floor(np.log2(float(size)))
            queries = (queries / scale).astype(queries.dtype)
            prototypes = (prototypes / scale).astype(prototypes.dtype)
    prototypes = prototypes[..., None, :, :]
    scores = queries @ prototypes.swapaxes(-1, -2)
    squares = np.sum(prototypes**2, axis=-1)[..., None, :]
    own = np.sum(queries**2, axis=-1)[..., None]
    apart = own + squares - 2 * scores
    if metric != "cosine":
        scores = 2 * scores - squares
    near = apart <= CANCELLED * np.finfo(apart.dtype).eps * (own + squares)
    several = near.sum(axis=-1) > 1
    if several.any():
        for place in range(prototypes.shape[-2]):
            difference = queries - prototypes[..., place, None, :]
            exact = np.sum(difference**2, axis=-1)
            apart[..., place] = np.where(near[..., place], exact, apart[..., place])
        scores = np.where(several[..., None], -apart, scores)
    return scores
