"""Flows on embeddings: what a density of each class adds to the cosine.

A class-conditional flow on the embeddings of a trained encoder tells strangers, names
probes of known classes and weighs whether two are of one class, beside the cosine to
the classes' means and a normal density for each class.
"""

import numpy as np
from scipy.special import log_softmax

from experiments.conditional import ConditionalExperiment
from nfml_jax.evaluation import anomaly, geometry, identification, llr
from nfml_jax.evaluation.arrays import unit
from nfml_jax.training.experiment import Report

# Pairs of either kind on which log-likelihood ratios are judged.
PAIRS = 20_000

FPIRS = (0.1, 0.01)


class BridgeExperiment(ConditionalExperiment):
    """A class-conditional flow on the data set "embeddings".

    `config` is that of `ConditionalExperiment`; `data.run` is the encoder's run.
    Reported beside the conditional experiment's are `identification/*`, the detection
    and identification rate at a false positive identification rate, with the strangers
    as non-mated probes, and `verification/*`, Cllr in bits of pairs of test rows.
    """

    def report(self, variables, apply) -> Report:
        report = super().report(variables, apply)
        scores = self._class_scores(variables, apply)
        report.metrics |= self._verify(scores)
        if self.vectors.outside is not None:
            report.metrics |= self._identify(scores)
        return report

    def detectors(self, normal):
        means = self._means()

        def apart(rows):
            return 1.0 - (unit(self.vectors.to_original(rows)) @ means.T).max(axis=1)

        return super().detectors(normal) | {"cosine": apart}

    def _class_scores(self, variables, apply):
        """For each method, a function of rows [N, D] giving scores [N, classes]."""
        train, labels = self.vectors.train, self.vectors.given["train"]
        normal = anomaly.GaussianClasses.fit(train, labels, self.context.size)
        means = self._means()
        return {
            "flow": lambda rows: self._log_joint(variables, apply, rows),
            "gaussian": normal.log_joint,
            "cosine": lambda rows: unit(self.vectors.to_original(rows)) @ means.T,
        }

    def _means(self):
        rows = self.vectors.to_original(self.vectors.train)
        return unit(geometry.class_means(rows, self.vectors.given["train"])[0])

    def _identify(self, scores):
        """DIR at each of `FPIRS`: known classes of the test, and strangers."""
        test, outside = self.vectors.test, self.vectors.outside
        place = np.r_[self.vectors.given["test"], np.full(len(outside), -1)]
        metrics = {}
        for method, score in scores.items():
            given = np.concatenate([score(test), score(outside)])
            found = identification.search_scores(given, place)
            for name, value in identification.metrics(found, (1,), FPIRS).items():
                metrics[f"identification/{method}/{name}"] = value
        return metrics

    def _verify(self, scores):
        """Cllr of pairs of the test; the cosine's is fitted to training pairs."""
        test, labels = self.vectors.test, self.vectors.given["test"]
        pairs = draw_pairs(labels, PAIRS, seed=0)
        weighed = {}
        for method in ("flow", "gaussian"):
            posterior = log_softmax(scores[method](test), axis=1)
            weighed[method] = [
                llr.of_classes(posterior[a], posterior[b], self.context.prior)
                for a, b in pairs
            ]
        train = self.vectors.train
        to_fit = draw_pairs(self.vectors.given["train"], PAIRS, seed=1)
        fitted = [self._cosines(train, kind) for kind in to_fit]
        weighed["cosine"] = llr.calibrated(
            *fitted, *(self._cosines(test, kind) for kind in pairs)
        )
        metrics = {}
        for method, kinds in weighed.items():
            for name, value in llr.metrics(*kinds).items():
                metrics[f"verification/{method}/{name}"] = value
        return metrics

    def _cosines(self, rows, pairs):
        rows = unit(self.vectors.to_original(rows))
        return np.sum(rows[pairs[0]] * rows[pairs[1]], axis=1)


def draw_pairs(labels, count: int, seed: int):
    """Random pairs of rows of one class, and of two: (first [M], second [M]) of either.

    As many of each as there are among `count` genuine draws and as many others; a row
    is never paired with itself.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    start = np.cumsum(sizes) - sizes
    first = rng.integers(0, len(labels), count)
    own = labels[first]
    second = order[start[own] + rng.integers(0, sizes[own])]
    kept = first != second
    genuine = first[kept], second[kept]
    first, second = rng.integers(0, len(labels), (2, count))
    kept = labels[first] != labels[second]
    return genuine, (first[kept], second[kept])
