"""Metrics on vectors: one trained by a loss like a network, and the classic learners.

Metrics are evaluated by the classes of nearest neighbors.
"""

import warnings

import jax.numpy as jnp
import numpy as np

from experiments.settings import MetricLearningSettings
from nfml_jax import plots
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.evaluation.neighbors import top_k, vote
from nfml_jax.loading.metrics import make_metric_model
from nfml_jax.mahalanobis import METRIC_LEARNERS
from nfml_jax.mahalanobis.learner import check_neighbors, initial_matrix
from nfml_jax.ops.names import look_up
from nfml_jax.training.experiment import Batch, Experiment, Report
from nfml_jax.training.randomness import shared_keys
from nfml_jax.training.sharding import AXIS

NEIGHBORS = 3
# Numbers of neighbors among which validation chooses.
CHOICES = (1, 3, 5, 7, 9, 13, 17, 25)


class MetricExperiment(Experiment):
    """A Mahalanobis metric on labeled vectors, evaluated beside those of the learners.

    `experiments.settings.MetricLearningSettings` says what it reads of a config. The
    run's seed also draws the split, which matters most in a small set.
    """

    whole_batch = True

    def __init__(self, config: dict):
        self.settings = settings = MetricLearningSettings.of(config)
        with warnings.catch_warnings():
            # The warnings are about columns unfit for a density; neighbors can use
            # them.
            warnings.simplefilter("ignore")
            self.vectors = load_vectors(
                **{**settings.data.to_config(), "seed": settings.seed}
            )
        if self.vectors.context is None or not self.vectors.context.classes:
            raise UserError(
                f"{self.vectors.name} has no classes to learn a metric from; name "
                "their column with data.labels, or take a set that has them, such as "
                "wine."
            )
        # The learners run last, and an error of theirs would come late.
        check_neighbors(self.vectors.given["train"], "a metric")
        self.learners = {
            name: look_up(METRIC_LEARNERS, name, "metric learner")
            for name in settings.report.learners
        }
        rank = settings.metric.rank
        parts = rank, settings.loss, self.vectors.event_dim, len(self._classes)
        self.model_of_loss = make_metric_model(*parts)
        self._training_model = make_metric_model(*parts, axis_name=AXIS)
        self._start = initial_matrix(self.vectors.train, rank).astype(np.float32)
        train = {"row": self.vectors.train, "label": self.vectors.given["train"]}
        self.train_arrays = train
        held_out = self.vectors.validation is not None
        self.best = "validation/accuracy" if held_out else None

    @property
    def _classes(self):
        return self.vectors.context.classes

    def describe(self) -> dict[str, str]:
        rank, dimensions = self._start.shape
        fields = self.settings.loss.to_config()
        name = fields.pop("name")
        if fields["miner"] is None:
            del fields["miner"]
        words = ", ".join(f"{field} {value}" for field, value in fields.items())
        return {
            "data": self.vectors.describe(),
            "metric": f"Mahalanobis, L of {rank} × {dimensions}",
            "loss": f"{name}: {words}" if words else name,
            "beside it": ", ".join(self.learners),
        }

    def warnings(self) -> list[str]:
        return []

    def data(self) -> dict:
        return self.vectors.summary() | {"classes": len(self._classes)}

    def model(self) -> dict:
        return {
            "loader": "metric",
            "best": self.best,
            "shift": self.vectors.shift.tolist(),
            "scale": self.vectors.scale.tolist(),
            "classes": list(self._classes),
        }

    def init(self, key):
        rows, labels = (jnp.asarray(x[:2]) for x in self.train_arrays.values())
        rngs = {"params": key, "mining": key}
        variables = self.model_of_loss.init(rngs, rows, labels)
        params = variables["params"] | {"metric": {"L": jnp.asarray(self._start)}}
        return {**variables, "params": params}

    def loss(self, params, collections, batch: Batch, step):
        out, changed = self._training_model.apply(
            {"params": params, **collections},
            batch.data["row"],
            batch.data["label"],
            step,
            rngs=shared_keys(self.settings.seed, step, "mining"),
            mutable=list(collections),
        )
        return out.loss, ({**collections, **changed}, out.logged)

    def validate(self, variables, apply) -> Report:
        if self.vectors.validation is None:
            return Report()
        accuracies = self._accuracies("validation", _matrix(variables), (NEIGHBORS,))
        return Report({self.best: accuracies[0]})

    def report(self, variables, apply) -> Report:
        train, labels = self.train_arrays.values()
        metrics = self._evaluated("test", _matrix(variables))
        for name, learn in self.learners.items():
            metrics |= self._evaluated(name, learn(train, labels))
        z = self.vectors.test @ _matrix(variables).T
        embeddings = plots.embeddings_2d(
            _in_plane(z),
            self.vectors.given["test"],
            class_names=self._classes,
            title="test rows under the metric, in their two principal directions",
        )
        return Report(metrics, figures={"embeddings": embeddings})

    def _evaluated(self, section, matrix) -> dict[str, float]:
        """Return accuracy of 3 neighbors, and of the number chosen by validation."""
        fixed = self._accuracies("test", matrix, (NEIGHBORS,))[0]
        metrics = {f"{section}/accuracy@{NEIGHBORS}": fixed}
        if self.vectors.validation is not None:
            counts = [k for k in CHOICES if k <= len(self.vectors.train)]
            found = self._accuracies("validation", matrix, counts)
            best = counts[int(np.argmax(found))]
            (chosen,) = self._accuracies("test", matrix, (best,))
            metrics[f"{section}/accuracy"] = chosen
            metrics[f"{section}/neighbours"] = float(best)
            metrics[f"{section}/validation_accuracy"] = max(found)
        return metrics

    def _accuracies(self, part, matrix, counts) -> list[float]:
        """Return the accuracy of k nearest training rows on a part's rows.

        For each k of `counts`, under the metric whose L is `matrix`.
        """
        queries, gallery = getattr(self.vectors, part), self.vectors.train
        queries, gallery = (x.astype(np.float64) @ matrix.T for x in (queries, gallery))
        # The largest k that may occur gives one search to compile.
        most = min(max(CHOICES), len(gallery))
        _, nearest = top_k(queries, gallery, most, "euclidean")
        elected = self.vectors.given["train"][nearest]
        right = self.vectors.given[part]
        return [float((vote(elected[:, :k]) == right).mean()) for k in counts]


def _matrix(variables) -> np.ndarray:
    return np.asarray(variables["params"]["metric"]["L"], np.float64)


def _in_plane(z) -> np.ndarray:
    """Return rows `[N, 2]`: the first two principal components of `[N, D]`."""
    centered = z - z.mean(axis=0)
    axes = np.linalg.svd(centered, full_matrices=False)[2]
    plane = centered @ axes[:2].T
    return np.pad(plane, [(0, 0), (0, 2 - plane.shape[1])])
