"""Labels and rows of any kind are mapped exactly, or refused in a sentence."""

import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation import (
    anomaly,
    class_angles,
    classification,
    clustering,
    identification,
    neighbors,
    one_shot,
    retrieval,
    verification,
)
from nfml_jax.mahalanobis import METRIC_LEARNERS

Y = np.repeat(np.arange(4), 6)
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(4, 5))[Y] + 0.3 * RNG.normal(size=(24, 5))).astype(np.float32)

MEASURES = {
    "accuracy": lambda x, y: classification.accuracy(y, y),
    "confusion": lambda x, y: classification.confusion_matrix(y, y, 4),
    "clusters": lambda x, y: list(clustering.compare(y, Y).values()),
    "kmeans": lambda x, y: list(clustering.metrics(x, y).values()),
    "verification": lambda x, y: verification.all_pairs(x, y).roc().auc,
    "threshold": verification.choose_threshold,
    "pairs": lambda x, y: verification.has_pairs(y),
    "retrieval": lambda x, y: retrieval.metrics(x, y)["map@r"],
    "neighbors": lambda x, y: neighbors.knn_accuracy(x, y, x, y, 3, "euclidean"),
    "episodes": lambda x, y: one_shot.episodes(x, y, 3, 1, 3, 5)["accuracy"],
    "search": lambda x, y: identification.search(x, y, x, y).rank_accuracy(1),
    "angles": lambda x, y: list(class_angles.angle_statistics(x, y).values()),
    "means": lambda x, y: class_angles.class_means(x, y)[0],
    "densities": lambda x, y: anomaly.GaussianClasses.fit(x, y, 4).log_prior,
    "rca": METRIC_LEARNERS["rca"],
}
EXACT = {
    "8 bits": Y.astype(np.uint8),
    "64 bits": Y.astype(np.uint64),
    "a column": Y[:, None],
    "a list": Y.tolist(),
    "of JAX": jnp.array(Y),
    "of Python": Y.astype(object),
}
REFUSED = {
    "beyond 32 bits": Y + 2**40,
    "text": Y.astype(str),
    "one-hot": np.eye(4, dtype=int)[Y],
    "None": [None] * 24,
    "of unequal length": [[1], [1, 2]] + [1] * 22,
    "one number": 3,
}


@pytest.mark.parametrize("name", MEASURES)
def test_labels_are_mapped_exactly_or_refused(name):
    measure = MEASURES[name]
    expected = measure(X, Y)
    for kind, labels in EXACT.items():
        np.testing.assert_array_equal(measure(X, labels), expected, err_msg=kind)
    for labels in REFUSED.values():
        with pytest.raises(UserError):
            measure(X, labels)


@pytest.mark.parametrize("name", list(MEASURES)[3:])
def test_rows_of_any_size_and_type_are_measured_or_refused(name):
    if name == "pairs":
        return
    measure = MEASURES[name]
    whole = np.round(16 * X)
    expected = measure(whole, Y)
    for rows in (
        whole.astype(np.int8),
        whole.astype(np.int64),
        whole.astype(np.float16),
        jnp.array(whole, jnp.bfloat16),
        whole.tolist(),
    ):
        np.testing.assert_allclose(measure(rows, Y), expected, rtol=1e-5)
    if name != "rca":  # whose result has a unit
        for size in (1e-30, 1e30):
            found = measure(X * np.float32(size), Y)
            np.testing.assert_allclose(found, measure(X, Y), rtol=1e-4)
    for rows in (
        X.astype(str),
        X * 1j,
        X * np.nan,
        X[:0],
        X[:, 0],
        np.float64(X) * 1e300,
    ):
        with pytest.raises(UserError):
            measure(rows, Y)
