"""A density for each class: a classifier by Bayes' rule, and an outlier detector.

p(class | x) is p(x | class) p(class) / p(x); an x with a small p(x) is out of
distribution. Normal densities, distances and neighbors do both on the same rows, as
baselines.
"""

from functools import partial

import numpy as np
from scipy.special import log_softmax, logsumexp

from experiments.density import DensityExperiment
from nfml_jax import plots
from nfml_jax.errors import UserError
from nfml_jax.evaluation import anomaly, classification
from nfml_jax.evaluation.accept_rates import roc
from nfml_jax.evaluation.neighbors import knn_accuracy
from nfml_jax.flows.functions import class_log_probs
from nfml_jax.training.experiment import Report, under

NEIGHBORS = 5

# Names under which a result keeps a method's metrics, if not under its own.
SECTIONS = {"flow": "test"}

# Training rows of a class: fewer give a normal density no covariance.
LEAST_ROWS = 2


class ConditionalExperiment(DensityExperiment):
    """A class-conditional flow on labeled vectors, trained on log p(x | class).

    `config` is that of `DensityExperiment`; its data have classes, such as "mnist" or
    "vectors" with `labels`. Classes in `data.held_out` are those that it should detect
    as out of distribution.
    """

    def __init__(self, config: dict):
        super().__init__(config)
        if self.context is None or not self.context.classes:
            raise UserError(
                f"{self.vectors.name} has no classes to condition on; name their "
                "column with data.labels, or take the experiment 'density'."
            )
        counts = np.bincount(self.vectors.given["train"], minlength=self.context.size)
        if counts.min() < LEAST_ROWS:
            raise UserError(
                f"class {self.context.classes[counts.argmin()]} of {self.vectors.name} "
                f"has {counts.min()} training rows; a density of it takes at least "
                f"{LEAST_ROWS}, so give it more, or name it in data.held_out."
            )

    @property
    def evaluated(self) -> dict[str, np.ndarray]:
        """Rows of the test, and those outside the training classes, by part."""
        parts = {"test": self.vectors.test, "outside": self.vectors.outside}
        return {part: rows for part, rows in parts.items() if rows is not None}

    def report(self, variables, apply) -> Report:
        report = super().report(variables, apply)
        train, labels = self.vectors.train, self.vectors.given["train"]
        normal = anomaly.GaussianClasses.fit(train, labels, self.context.size)
        log_joint = partial(self._log_joint, variables, apply)
        joint = {
            "flow": self.of_evaluated(log_joint),
            "gaussian": self.of_evaluated(normal.log_joint),
        }
        if "gmm" in self.baselines.fitted:
            joint["gmm"] = self.of_evaluated(self.baselines.fitted["gmm"].log_joint)
        evaluation = self.evaluate(joint, normal)
        report.metrics |= evaluation.metrics
        report.figures |= evaluation.figures
        return report

    def of_evaluated(self, function) -> dict[str, np.ndarray]:
        """Return `function` of the evaluated rows, by part."""
        return {part: function(rows) for part, rows in self.evaluated.items()}

    def evaluate(self, joint, normal: anomaly.GaussianClasses) -> Report:
        """Evaluate log p(x, class) `[N, classes]`, given by method and part."""
        train, test = self.vectors.train, self.vectors.test
        labels, classes = self.vectors.given, self.context.classes
        ours = joint["flow"]["test"]
        likelihood = float(logsumexp(ours, axis=1).mean())
        metrics = {"test/marginal_log_likelihood": likelihood}
        for method, parts in joint.items():
            log_posterior = log_softmax(parts["test"], axis=1)
            found = classification.metrics(log_posterior, labels["test"])
            metrics |= under(SECTIONS.get(method, method), found)
        metrics["knn/accuracy"] = knn_accuracy(
            train, labels["train"], test, labels["test"], NEIGHBORS, "euclidean"
        )
        figures = {}
        if len(classes) <= classification.MOST_CLASSES:
            confusion = classification.confusion_matrix(
                ours.argmax(axis=1), labels["test"], len(classes)
            )
            figures["confusion"] = plots.confusion_matrix(confusion, classes)
        if "outside" in self.evaluated:
            scores = self.outlier_scores(joint, normal)
            metrics |= _detected(scores)
            figures["strangers"] = _drawn(scores)
        return Report(metrics, figures)

    def outlier_scores(self, joint, normal):
        """Return outlier scores `[N]`, high for unlikely rows, by method and part."""
        scores = {
            method: {part: -logsumexp(j, axis=1) for part, j in parts.items()}
            for method, parts in joint.items()
        }
        distance = partial(anomaly.knn_distance, self.vectors.train, k=NEIGHBORS)
        return scores | {
            "mahalanobis": self.of_evaluated(normal.mahalanobis),
            "knn": self.of_evaluated(distance),
        }

    def _log_joint(self, variables, apply, x):
        """Return log p(x, class) `[N, classes]`."""
        return apply(self.class_log_probs, variables, x) + np.log(self.context.prior)

    def class_log_probs(self, variables, x):
        """Return log p(x | class) `[N, classes]` of rows `[N, event_dim]`."""
        return class_log_probs(self.flow, variables, x, self.context.size)


def _detected(scores):
    """Return how well each method separates the rows outside from those of the test."""
    metrics = {}
    for method, parts in scores.items():
        found = anomaly.out_of_distribution(parts["test"], parts["outside"])
        metrics |= under(SECTIONS.get(method, method), found)
    return metrics


def _drawn(scores):
    curves = {
        method: roc(parts["outside"], parts["test"]) for method, parts in scores.items()
    }
    title = "accepted as strange: held-out classes, and wrongly the others"
    return plots.roc_curve(curves, title)
