"""Very many synthetic identities: a margin head on classes that are never stored."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.margin import loss_of_rows
from experiments.settings import IdentitySettings
from nfml_jax import plots
from nfml_jax.errors import UserError
from nfml_jax.evaluation import class_angles, identification
from nfml_jax.loading.recognition import make_classifier
from nfml_jax.synthetic.identities import Identities
from nfml_jax.training.experiment import Batch, Experiment, Report, under
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.sharding import AXIS


class IdentitiesExperiment(Experiment):
    """An encoder and a margin head on views that are drawn when they are needed.

    `experiments.settings.IdentitySettings` says what it reads of a config. The number
    of an unknown identity is beyond those that are trained on; so are the traits that
    follow from it.
    """

    best = None
    train_arrays = None

    def __init__(self, config: dict):
        self.settings = settings = IdentitySettings.of(config)
        self.count = settings.identities.count
        self.drawn = Identities(**settings.identities.options)
        asked = settings.report.identities
        if not 2 <= asked <= self.count:
            raise UserError(
                f"report.identities is {asked}; expected 2 to {self.count}, the number "
                "of training identities (identities.count)."
            )
        self.classifier = self._make_classifier()
        self._training_classifier = self._make_classifier(AXIS)

    def _make_classifier(self, axis_name=None):
        parts = self.settings.encoder, self.settings.head
        return make_classifier(*parts, self.count, axis_name=axis_name)

    def describe(self) -> dict[str, str]:
        encoder = self.settings.encoder
        return {
            "data": f"{self.count:,} made-up identities, views of {self.drawn.size}",
            "encoder": f"{encoder.name}, embeddings of {encoder.embedding_size}",
            "loss": self.classifier.head.words(),
        }

    def warnings(self) -> list[str]:
        infeasible = self.classifier.head.margin.feasibility(
            self.count, self.settings.encoder.embedding_size
        )
        return [infeasible] if infeasible else []

    def data(self) -> dict:
        asked = self.settings.report
        return {
            "name": "identities",
            "source": "made up",
            "train": self.count,
            "test": asked.identities * asked.probes,
        }

    def model(self) -> dict:
        return {
            "best": self.best,
            "num_classes": self.count,
            "softmax": self.classifier.head.summed_over(),
        }

    def init(self, key):
        views = jnp.zeros((2, self.drawn.size))
        return self.classifier.init(key, views, jnp.zeros(2, jnp.int32))

    def loss(self, params, collections, batch: Batch, step):
        of_identity, of_view = (
            jax.vmap(jax.random.fold_in, (0, None))(batch.keys, i) for i in range(2)
        )
        labels = jax.vmap(lambda key: jax.random.randint(key, (), 0, self.count))(
            of_identity
        )
        return loss_of_rows(
            self._training_classifier,
            {"params": params, **collections},
            (self.drawn.views(labels, of_view), labels),
            step,
            seed=self.settings.seed,
        )

    def validate(self, variables, apply) -> Report:
        metrics, angles = self._measured("validation", variables, apply)
        return Report(metrics, histograms={"validation/target_angle": angles})

    def report(self, variables, apply) -> Report:
        metrics, angles = self._measured("test", variables, apply)
        return Report(
            metrics,
            {"target_angles": plots.angle_histograms(angles)},
            histograms=under("test", {"target_angle": angles}),
        )

    def _measured(self, part, variables, apply):
        """Return rank-1 of known and unknown identities, and the former's angles.

        The same metrics of the views themselves are the baseline without a model.
        """
        asked = self.settings.report
        count, probes = asked.identities, asked.probes
        known = np.linspace(0, self.count - 1, count).astype(np.int32)
        metrics = {}
        for who, identities in (("known", known), ("strangers", known + self.count)):
            gallery = self._views(part, identities, 0, apply)
            labels = np.tile(identities, probes)
            shown = np.concatenate(
                [self._views(part, identities, 1 + i, apply) for i in range(probes)]
            )
            embedded = [apply(self._embed, variables, v) for v in (gallery, shown)]
            for name, (enrolled, searched) in {
                f"{who}/rank1": embedded,
                f"{who}/rank1_of_views": (gallery, shown),
            }.items():
                found = identification.search(searched, labels, enrolled, identities)
                metrics[name] = found.rank_accuracy(1)
            if who == "known":
                centers = apply(self._centers, variables, identities)
                places = np.tile(np.arange(count), probes)
                angles = class_angles.target_angles(embedded[1], centers, places)
        metrics["target_angle"] = float(angles.mean())
        return under(part, metrics), angles

    def _views(self, part, identities, number, apply):
        """Return the view of that number of each identity, the same at every call."""
        seed = purpose_key(root_key(self.settings.seed), part)
        key = jax.random.fold_in(seed, number)
        return apply(self._view, key, identities)

    def _view(self, key, identities):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, identities)
        return self.drawn.views(identities, keys)

    def _embed(self, variables, views):
        return self.classifier.apply(variables, views, method="embed")

    def _centers(self, variables, identities):
        return self.classifier.apply(variables, identities, method="class_weights")
