"""Classification with margin heads: trained on classes, evaluated as embeddings."""

import jax.numpy as jnp
import numpy as np

from experiments.embedding import EmbeddingExperiment, histograms
from experiments.measurable import validation_metric
from experiments.settings import MarginSettings
from nfml_jax.data import augment, load, to_float
from nfml_jax.evaluation import class_angles, classification, retrieval
from nfml_jax.loading.recognition import EmbeddingClassifier, make_classifier
from nfml_jax.training.experiment import Batch, Report
from nfml_jax.training.randomness import shared_keys


class MarginExperiment(EmbeddingExperiment):
    """An encoder and a margin head on labeled images.

    `experiments.settings.MarginSettings` says what it reads of a config.
    """

    settings: MarginSettings

    def __init__(self, config: dict):
        settings = MarginSettings.of(config)
        images = load(**settings.data.to_config())
        super().__init__(settings, images)
        self.best = validation_metric(images, classifies=True)

    def make_model(self, axis_name=None):
        parts = self.settings.encoder, self.settings.head
        return make_classifier(*parts, self.images.num_classes, axis_name=axis_name)

    @property
    def classifier(self) -> EmbeddingClassifier:
        """Return the encoder and its head."""
        return self._model

    def describe(self) -> dict[str, str]:
        return super().describe() | {"loss": self.classifier.head.words()}

    def warnings(self) -> list[str]:
        infeasible = self.classifier.head.margin.feasibility(
            self.images.num_classes, self.settings.encoder.embedding_size
        )
        return super().warnings() + ([infeasible] if infeasible else [])

    def model(self) -> dict:
        return {
            "loader": "classifier",
            "softmax": self.classifier.head.summed_over(),
            **super().model(),
        }

    def init(self, key):
        images = jnp.zeros((2, *self.images.image_shape), jnp.uint8)
        return self._begun(self.classifier.init(key, images, jnp.zeros(2, jnp.int32)))

    def loss(self, params, collections, batch: Batch, step):
        pictures = to_float(batch.data["image"])
        changes = self.settings.augment.to_config()
        images = augment(pictures, batch.keys, **changes)
        return loss_of_rows(
            self._training_model,
            {"params": params, **collections},
            (images, batch.data["label"]),
            step,
            seed=self.settings.seed,
        )

    def validate(self, variables, apply) -> Report:
        held_out = self.images.validation
        if held_out is None:
            return Report()
        embeddings = apply(self._embed, variables, held_out.images)
        if self.best == "validation/map@r":
            found = retrieval.metrics(embeddings, held_out.labels, names=["map@r"])
            return Report(
                {self.best: found["map@r"]},
                histograms=histograms("validation", embeddings),
            )
        logits = apply(self._classify, variables, embeddings)
        target = class_angles.target_angles(
            embeddings, self._class_weights(variables), held_out.labels
        )
        return Report(
            {self.best: classification.accuracy(logits, held_out.labels)},
            histograms=histograms("validation", embeddings, target),
        )

    def class_centers(self, variables, train_embeddings):
        return self._class_weights(variables)

    def class_scores(self, variables, apply, embeddings, centers):
        return apply(self._classify, variables, embeddings)

    def _classify(self, variables, embeddings):
        return self.classifier.apply(variables, embeddings, method="classify")

    def _class_weights(self, variables):
        return np.asarray(self.classifier.apply(variables, method="class_weights"))


def loss_of_rows(classifier: EmbeddingClassifier, variables, rows, step, *, seed):
    """Return the mean loss of a device's rows, and (collections, metrics)."""
    inputs, labels = rows
    out, collections = classifier.apply(
        variables,
        inputs,
        labels,
        step,
        mutable=[name for name in variables if name != "params"],
        rngs=shared_keys(seed, step, "margin", "classes"),
    )
    metrics = {"accuracy": out.correct.mean(), **out.logged}
    return out.loss.mean(), (collections, metrics)
