"""The data that `metric_evaluation.py` evaluates, and each library's implementation."""

import os
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
COUNT, DIMENSIONS, PAIRS = 20_000, 128, 6_000
WARM = 500  # queries, or rows


def embeddings(classes: int):
    """Return embeddings of overlapping classes on the unit sphere, and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(COUNT) % classes)
    x = rng.normal(size=(classes, DIMENSIONS))[labels]
    x = x + 3 * rng.normal(size=(COUNT, DIMENSIONS))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(np.float32), labels


def pairs():
    """Return scores and kinds of pairs, in each fold the genuine ones first."""
    same = np.arange(PAIRS) % (PAIRS // 10) < PAIRS // 20
    return np.random.default_rng(0).normal(0.5 * same, 0.25), same


class NfmlJax:
    """The evaluation of this project."""

    packages = ("jax", "numpy")

    def __init__(self):
        sys.path.insert(0, str(ROOT))
        import jax

        from nfml_jax.evaluation import clustering, folds, retrieval

        jax.devices()
        self._modules = clustering, folds, retrieval
        self.compile = [0.0, 0.0]  # seconds to trace and to compile
        jax.monitoring.register_event_duration_secs_listener(self._compiles)

    def _compiles(self, event, seconds, **_):
        if event.startswith("/jax/core/compile/"):
            self.compile["backend" in event] += seconds

    def retrieval(self, x, labels, warm):
        _, _, retrieval = self._modules
        names = "recall@1", "map@r"
        if warm:  # some queries among all rows: the shapes are those of the case
            return retrieval.metrics(x[:WARM], labels[:WARM], x, labels, names=names)
        found = retrieval.metrics(x, labels, names=names)
        return list(found.values())

    def folds(self, scores, same, warm):
        found = self._modules[1].cross_validate(scores, same)
        return [found.accuracy, found.accuracy_error]

    def clusters(self, x, labels, warm):
        found = self._modules[0].metrics(x, labels)
        return [found["nmi"], found["ami"]]


class Pml:
    """The calculator of pytorch-metric-learning, which uses faiss."""

    packages = ("pytorch-metric-learning", "faiss-cpu", "torch")
    modules = "faiss, pytorch_metric_learning"

    def __init__(self):
        import faiss
        import torch
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self._torch, self._make = torch, AccuracyCalculator

    def _calculate(self, x, labels, names, warm, **options):
        part = slice(WARM if warm else None)
        x, labels = map(self._torch.from_numpy, (x[part], labels[part]))
        device = self._torch.device("cpu")
        found = self._make(include=names, device=device, **options).get_accuracy(
            x, labels
        )
        return [found[name] for name in names]

    def retrieval(self, x, labels, warm):
        names = "precision_at_1", "mean_average_precision_at_r"
        return self._calculate(x, labels, names, warm, k="max_bin_count")

    def clusters(self, x, labels, warm):
        return self._calculate(x, labels, ("NMI", "AMI"), warm)


class ScikitLearn:
    """The functions of scikit-learn, and numpy where it has none for all of a case."""

    packages = ("scikit-learn", "numpy")
    modules = "sklearn"

    def __init__(self):
        import sklearn.cluster
        import sklearn.metrics
        import sklearn.neighbors

        self._sklearn = sklearn

    def retrieval(self, x, labels, warm):
        part = slice(WARM if warm else None)
        x, labels = x[part], labels[part]
        relevant = np.bincount(labels)[labels] - 1
        search = self._sklearn.neighbors.NearestNeighbors(
            n_neighbors=relevant.max(), metric="cosine", algorithm="brute", n_jobs=-1
        )
        nearest = search.fit(x).kneighbors(return_distance=False)
        right = labels[nearest] == labels[:, None]
        places = np.arange(1, right.shape[1] + 1)
        within = right & (places <= relevant[:, None])
        precisions = np.cumsum(right, axis=1) / places
        terms = (precisions * within).sum(axis=1) / np.maximum(relevant, 1)
        return [right[:, 0].mean(), terms.mean()]

    def folds(self, scores, same, warm):
        fold, accuracies = np.arange(PAIRS) // (PAIRS // 10), []
        for f in range(10):
            here = fold == f
            fpr, tpr, thresholds = self._sklearn.metrics.roc_curve(
                same[~here], scores[~here], drop_intermediate=False
            )
            best = thresholds[np.argmax(tpr - fpr)]
            accuracies.append(np.mean((scores[here] >= best) == same[here]))
        return [np.mean(accuracies), np.std(accuracies, ddof=1) / np.sqrt(10)]

    def clusters(self, x, labels, warm):
        part = slice(WARM if warm else None)
        x, labels = x[part], labels[part]
        means = self._sklearn.cluster.KMeans(
            len(np.unique(labels)), n_init=1, random_state=0
        )
        found, metrics = means.fit_predict(x), self._sklearn.metrics
        return [
            metrics.normalized_mutual_info_score(labels, found),
            metrics.adjusted_mutual_info_score(labels, found),
        ]


IMPLEMENTATIONS = {"nfml_jax": NfmlJax, "pml": Pml, "scikit-learn": ScikitLearn}
