"""Metric learning: pair, triplet and proxy objectives, evaluated as embeddings."""

import jax
import jax.numpy as jnp

from experiments.embedding import EmbeddingExperiment, histograms
from experiments.measurable import validation_metric
from experiments.settings import PairSettings
from nfml_jax.data import augment, load, to_float
from nfml_jax.data.samplers import make_sampler
from nfml_jax.evaluation import class_angles, retrieval
from nfml_jax.loading.recognition import EmbeddingLearner, make_learner
from nfml_jax.losses import MINERS, two_views
from nfml_jax.ops.distances import unit
from nfml_jax.training.experiment import Batch, Report
from nfml_jax.training.randomness import shared_keys
from nfml_jax.training.sharding import AXIS


class PairsExperiment(EmbeddingExperiment):
    """An encoder on labeled images, and any of `nfml_jax.losses.LOSSES`.

    `experiments.settings.PairSettings` says what it reads of a config. An image gets
    the class whose mean of training embeddings is nearest. An objective of two views
    doesn't see the labels: a batch has every image twice, with independent
    augmentations.
    """

    settings: PairSettings
    whole_batch = True

    def __init__(self, config: dict):
        settings = PairSettings.of(config)
        images = load(**settings.data.to_config())
        super().__init__(settings, images)
        self.best = validation_metric(images, classifies=False)
        self.sampler = make_sampler(
            images.train.labels,
            name=settings.sampler.name,
            per_class=settings.sampler.per_class,
            class_names=images.class_names,
        )
        self._two_views = _loss_of(self.learner).needs == "two views"

    def make_model(self, axis_name=None):
        parts = self.settings.encoder, self.settings.objective
        return make_learner(*parts, self.images.num_classes, axis_name=axis_name)

    @property
    def learner(self) -> EmbeddingLearner:
        """Return the encoder and its objective."""
        return self._model

    def describe(self) -> dict[str, str]:
        return super().describe() | {
            "loss": self._words(),
            "batches": self.settings.sampler.words(),
        }

    def _words(self) -> str:
        objective = self.learner.objective
        words = [_loss_of(self.learner).formula()]
        if hasattr(objective, "miner"):
            words.append(f"pairs: {_name_of(MINERS, objective.miner)}")
            if objective.memory:
                words.append(f"{objective.memory:,} past embeddings")
        return "; ".join(words)

    def model(self) -> dict:
        return {"loader": "embedder", **super().model()}

    def init(self, key):
        images = jnp.zeros((2, *self.images.image_shape), jnp.uint8)
        keys = {"params": key, "mining": key}
        variables = self.learner.init(keys, images, jnp.zeros(2, jnp.int32))
        return self._begun({"params": {}, **variables})

    def loss(self, params, collections, batch: Batch, step):
        pictures, labels = batch.data["image"], batch.data["label"]
        images = self._augmented(pictures, batch.keys)
        if self._two_views:
            again = jax.vmap(jax.random.fold_in, (0, None))(batch.keys, 1)
            views = images, self._augmented(pictures, again)
            images, labels = two_views(*views, AXIS)
        out, collections = self._training_model.apply(
            {"params": params, **collections},
            images,
            labels,
            step,
            mutable=list(collections),
            rngs=shared_keys(self.settings.seed, step, "mining"),
        )
        return out.loss, (collections, out.logged)

    def validate(self, variables, apply) -> Report:
        held_out = self.images.validation
        if held_out is None:
            return Report()
        embeddings = apply(self._embed, variables, held_out.images)
        found = retrieval.metrics(embeddings, held_out.labels, names=["map@r"])
        return Report(
            {self.best: found["map@r"]}, histograms=histograms("validation", embeddings)
        )

    def class_centers(self, variables, train_embeddings):
        return class_angles.class_means(train_embeddings, self.images.train.labels)[0]

    def class_scores(self, variables, apply, embeddings, centers):
        return unit(embeddings) @ unit(centers).T

    def _augmented(self, images, keys):
        return augment(to_float(images), keys, **self.settings.augment.to_config())


def _name_of(table, instance) -> str:
    return next(name for name, kind in table.items() if type(instance) is kind)


def _loss_of(learner):
    """Return the pair loss that an objective drives, or the objective itself."""
    return getattr(learner.objective, "loss", learner.objective)
