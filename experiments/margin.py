"""Classification with margin heads: trained on classes, evaluated as embeddings."""

import jax.numpy as jnp
import numpy as np

from nfml_jax import plots
from nfml_jax.data import augment, load, to_float
from nfml_jax.evaluation import classification, geometry, neighbours, verification
from nfml_jax.recognition import make_classifier
from nfml_jax.training.experiment import Report
from nfml_jax.training.sharding import AXIS

# Rows of the projector: enough to see the classes, few enough for a browser.
PROJECTED = 2_000


class MarginExperiment:
    """An encoder and a margin head on labelled images.

    The contract is `nfml_jax.training.experiment.Experiment`. `config` has "data"
    (arguments of `nfml_jax.data.load`), "augment", and "encoder" and "head" (arguments
    of `nfml_jax.recognition.make_classifier`).
    """

    def __init__(self, config: dict):
        self.config = config
        # An empty field, or 0, leaves the choice to the loader.
        given = {name: value for name, value in config["data"].items() if value}
        self.images = load(**given)
        parts = config["encoder"], config["head"], self.images.num_classes
        self.classifier = make_classifier(*parts)
        self._training_classifier = make_classifier(*parts, axis_name=AXIS)
        train = self.images.train
        self.train_arrays = {"image": train.images, "label": train.labels}
        self.best = None if self.images.validation is None else "validation/accuracy"

    def describe(self) -> dict[str, str]:
        head = self.classifier.head
        encoder = self.config["encoder"]
        return {
            "data": self.images.describe(),
            "encoder": f"{encoder['name']}, embeddings of {encoder['embedding_size']}",
            "loss": head.formula(),
        }

    def warnings(self) -> list[str]:
        sentence = self.classifier.head.margin.feasibility(
            self.images.num_classes, self.config["encoder"]["embedding_size"]
        )
        return [sentence] if sentence else []

    def data(self) -> dict:
        return self.images.summary()

    def model(self) -> dict:
        return {
            "num_classes": self.images.num_classes,
            "class_names": list(self.images.class_names),
            "image_shape": list(self.images.image_shape),
        }

    def init(self, key):
        images = jnp.zeros((2, *self.images.image_shape), jnp.uint8)
        return self.classifier.init(key, images, jnp.zeros(2, jnp.int32))

    def loss(self, params, collections, batch_and_keys, step):
        batch, keys = batch_and_keys
        images = augment(to_float(batch["image"]), keys, **self.config["augment"])
        (out, _), collections = self._training_classifier.apply(
            {"params": params, **collections},
            images,
            batch["label"],
            step,
            mutable=list(collections),
        )
        metrics = {"accuracy": out.correct.mean(), **out.logged}
        return out.loss.mean(), (collections, metrics)

    def validate(self, variables, apply) -> Report:
        held_out = self.images.validation
        if held_out is None:
            return Report()
        embeddings = apply(self._embed, variables, held_out.images)
        logits = apply(self._classify, variables, embeddings)
        target = geometry.target_angles(
            embeddings, _class_weights(variables), held_out.labels
        )
        return Report(
            {"validation/accuracy": classification.accuracy(logits, held_out.labels)},
            histograms=_histograms("validation", embeddings, target),
        )

    def report(self, variables, apply) -> Report:
        train, test = self.images.train, self.images.test
        weights = _class_weights(variables)
        train_embeddings = apply(self._embed, variables, train.images)
        embeddings = apply(self._embed, variables, test.images)
        logits = apply(self._classify, variables, embeddings)
        # Chosen on training pairs alone; the test pairs only measure it.
        threshold = verification.choose_threshold(
            train_embeddings, train.labels, seed=self.config["seed"]
        )
        pairs = verification.all_pairs(embeddings, test.labels)
        roc = pairs.roc()
        metrics = {
            "test/accuracy": classification.accuracy(logits, test.labels),
            "test/knn_accuracy": neighbours.knn_accuracy(
                train_embeddings, train.labels, embeddings, test.labels
            ),
            **_under("verification", verification.metrics(roc, threshold)),
            "verification/threshold": threshold,
            **_under(
                "angles", geometry.angle_statistics(embeddings, test.labels, weights)
            ),
        }
        target = geometry.target_angles(embeddings, weights, test.labels)
        other = geometry.nearest_other_angles(embeddings, weights, test.labels)
        confusion = classification.confusion_matrix(
            classification.predictions(logits), test.labels, self.images.num_classes
        )
        names = self.images.class_names
        figures = {
            "target_angles": plots.angle_histograms(target, other),
            "pair_cosines": plots.pair_histograms(
                pairs.genuine, pairs.impostor, pairs.edges, threshold
            ),
            "roc": plots.roc_curve(roc),
            "confusion": plots.confusion_matrix(confusion, names),
        }
        draw = {2: plots.embeddings_2d, 3: plots.embeddings_3d}.get(weights.shape[1])
        if draw:
            figures["embeddings"] = draw(embeddings, test.labels, weights, names)
        shown = slice(PROJECTED)
        labels = [names[label] for label in test.labels[shown]]
        return Report(
            metrics,
            figures,
            histograms=_histograms("test", embeddings, target),
            embeddings={"test": (embeddings[shown], labels, test.images[shown])},
        )

    def _embed(self, variables, images):
        return self.classifier.apply(variables, images, method="embed")

    def _classify(self, variables, embeddings):
        return self.classifier.apply(variables, embeddings, method="classify")


def _class_weights(variables):
    return np.asarray(variables["params"]["head"]["weights"])


def _histograms(section, embeddings, target_angles):
    norms = np.linalg.norm(embeddings, axis=1)
    return _under(section, {"embedding_norm": norms, "target_angle": target_angles})


def _under(section, values):
    return {f"{section}/{name}": value for name, value in values.items()}
