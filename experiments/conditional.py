"""A density for each class: a classifier by Bayes' rule, and a detector of the strange.

p(class | x) is p(x | class) p(class) / p(x); what has a small p(x) is none of the
classes. Normal densities, distances and neighbours do both beside it, on the same rows.
"""

from functools import partial

import numpy as np
from scipy.special import log_softmax, logsumexp

from experiments.density import DensityExperiment
from nfml_jax import plots
from nfml_jax.errors import UserError
from nfml_jax.evaluation import anomaly, calibration, classification
from nfml_jax.evaluation.neighbours import knn_accuracy
from nfml_jax.evaluation.verification import roc
from nfml_jax.loading.flows import class_log_probs
from nfml_jax.training.experiment import Report, under

NEIGHBOURS = 5

# Where a result keeps a method's metrics, if not under its name.
SECTIONS = {"flow": "test"}

# Training rows of a class: a normal density of fewer has no covariance.
LEAST_ROWS = 2


class ConditionalExperiment(DensityExperiment):
    """A class-conditional flow on labelled vectors, trained on log p(x | class).

    `config` is that of `DensityExperiment`; its data have classes, such as "mnist" or
    "vectors" with `labels`. Classes in `data.held_out` are what it should find strange.
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
    def judged(self) -> dict[str, np.ndarray]:
        """Rows of the test, and those outside if there are, by part."""
        parts = {"test": self.vectors.test, "outside": self.vectors.outside}
        return {part: rows for part, rows in parts.items() if rows is not None}

    def report(self, variables, apply) -> Report:
        report = super().report(variables, apply)
        train, labels = self.vectors.train, self.vectors.given["train"]
        normal = anomaly.GaussianClasses.fit(train, labels, self.context.size)
        log_joint = partial(self._log_joint, variables, apply)
        joint = {
            "flow": self.of_judged(log_joint),
            "gaussian": self.of_judged(normal.log_joint),
        }
        if "gmm" in self.baselines():
            joint["gmm"] = self.of_judged(self.baselines()["gmm"].log_joint)
        judgement = self.judge(joint, normal)
        report.metrics |= judgement.metrics
        report.figures |= judgement.figures
        return report

    def of_judged(self, function) -> dict[str, np.ndarray]:
        """`function` of the `judged` rows, by part."""
        return {part: function(rows) for part, rows in self.judged.items()}

    def judge(self, joint, normal: anomaly.GaussianClasses) -> Report:
        """What is told from log p(x, class) `[N, classes]`, by method and part."""
        train, test = self.vectors.train, self.vectors.test
        labels, classes = self.vectors.given, self.context.classes
        ours = joint["flow"]["test"]
        likelihood = float(logsumexp(ours, axis=1).mean())
        metrics = {"test/marginal_log_likelihood": likelihood}
        for method, parts in joint.items():
            found = _classified(parts["test"], labels["test"])
            metrics |= under(SECTIONS.get(method, method), found)
        metrics["knn/accuracy"] = knn_accuracy(
            train, labels["train"], test, labels["test"], NEIGHBOURS, "euclidean"
        )
        figures = {}
        if len(classes) <= classification.MOST_CLASSES:
            confusion = classification.confusion_matrix(
                ours.argmax(axis=1), labels["test"], len(classes)
            )
            figures["confusion"] = plots.confusion_matrix(confusion, classes)
        if "outside" in self.judged:
            scores = self.strangeness(joint, normal)
            metrics |= _detected(scores)
            figures["strangers"] = _drawn(scores)
        return Report(metrics, figures)

    def strangeness(self, joint, normal):
        """Scores `[N]`, the larger the stranger, by method and part."""
        scores = {
            method: {part: -logsumexp(j, axis=1) for part, j in parts.items()}
            for method, parts in joint.items()
        }
        distance = partial(anomaly.knn_distance, self.vectors.train, k=NEIGHBOURS)
        return scores | {
            "mahalanobis": self.of_judged(normal.mahalanobis),
            "knn": self.of_judged(distance),
        }

    def _log_joint(self, variables, apply, x):
        """log p(x, class) `[N, classes]`."""
        return apply(self.class_log_probs, variables, x) + np.log(self.context.prior)

    def class_log_probs(self, variables, x):
        """log p(x | class) `[N, classes]` of rows `[N, event_dim]`."""
        return class_log_probs(self.flow, variables, x, self.context.size)


def _classified(joint, labels):
    log_posterior = log_softmax(joint, axis=1)
    return {
        "accuracy": classification.accuracy(log_posterior, labels),
        "log_loss": calibration.log_loss(log_posterior, labels),
        "calibration_error": calibration.calibration_error(log_posterior, labels),
    }


def _detected(scores):
    """How well each method tells the rows outside from those of the test."""
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
