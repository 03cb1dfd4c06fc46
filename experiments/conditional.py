"""A density for each class: a classifier by Bayes' rule, and a detector of the strange.

p(class | x) is p(x | class) p(class) / p(x); what has a small p(x) is none of the
classes. Normal densities, distances and neighbours do both beside it, on the same rows.
"""

import numpy as np
from scipy.special import log_softmax, logsumexp

from experiments.density import DensityExperiment
from nfml_jax import plots
from nfml_jax.errors import UserError
from nfml_jax.evaluation import anomaly, calibration, classification
from nfml_jax.evaluation.neighbours import knn_accuracy
from nfml_jax.evaluation.verification import roc
from nfml_jax.flows.trained import class_log_probs
from nfml_jax.training.experiment import Report

NEIGHBOURS = 5

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

    def report(self, variables, apply) -> Report:
        report = super().report(variables, apply)
        train, test = self.vectors.train, self.vectors.test
        labels, classes = self.vectors.given, self.context.classes
        normal = anomaly.GaussianClasses.fit(train, labels["train"], len(classes))
        joint = self._log_joint(variables, apply, test)
        report.metrics["test/marginal_log_likelihood"] = float(
            logsumexp(joint, axis=1).mean()
        )
        report.metrics |= _under("test", _classified(joint, labels["test"]))
        report.metrics |= _under(
            "gaussian", _classified(normal.log_joint(test), labels["test"])
        )
        report.metrics["knn/accuracy"] = knn_accuracy(
            train, labels["train"], test, labels["test"], NEIGHBOURS, "euclidean"
        )
        confusion = classification.confusion_matrix(
            joint.argmax(axis=1), labels["test"], len(classes)
        )
        report.figures["confusion"] = plots.confusion_matrix(confusion, classes)
        if self.vectors.outside is not None:
            detected, figure = self._strangers(variables, apply, joint, normal)
            report.metrics |= detected
            report.figures["strangers"] = figure
        return report

    def _strangers(self, variables, apply, joint, normal):
        """How strange each detector finds the rows outside beside those of the test."""
        test, outside = self.vectors.test, self.vectors.outside
        joint_outside = self._log_joint(variables, apply, outside)
        scores = {"test": [-logsumexp(j, axis=1) for j in (joint, joint_outside)]}
        for name, score in self.detectors(normal).items():
            scores[name] = score(test), score(outside)
        metrics = {}
        for name, (inside_scores, outside_scores) in scores.items():
            found = anomaly.out_of_distribution(inside_scores, outside_scores)
            metrics |= _under(name, found)
        curves = {
            "flow" if name == "test" else name: roc(outside_scores, inside_scores)
            for name, (inside_scores, outside_scores) in scores.items()
        }
        title = "accepted as strange: held-out classes, and wrongly the others"
        return metrics, plots.roc_curve(curves, title)

    def detectors(self, normal: anomaly.GaussianClasses):
        """Other scores [N] of rows [N, D], the larger the stranger, by name."""
        return {
            "gaussian": lambda x: -normal.log_prob(x),
            "mahalanobis": normal.mahalanobis,
            "knn": lambda x: anomaly.knn_distance(self.vectors.train, x, NEIGHBOURS),
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


def _under(section, values):
    return {f"{section}/{name}": value for name, value in values.items()}
