"""Classification with margin heads: trained on classes, evaluated as embeddings."""

import jax.numpy as jnp
import numpy as np

from nfml_jax import plots
from nfml_jax.data import ImageData, augment, load, to_float
from nfml_jax.data.arrays import stratified
from nfml_jax.evaluation import classification, geometry, neighbours, verification
from nfml_jax.recognition import make_classifier
from nfml_jax.training.experiment import Report
from nfml_jax.training.sharding import AXIS

NEIGHBOURS = 5

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
        self.images = load(**config["data"])
        parts = config["encoder"], config["head"], self.images.num_classes
        self.classifier = make_classifier(*parts)
        self._training_classifier = make_classifier(*parts, axis_name=AXIS)
        train = self.images.train
        self.train_arrays = {"image": train.images, "label": train.labels}
        self.best = None if self.images.validation is None else "validation/accuracy"
        self._unmeasured = _unmeasured(self.images)

    def describe(self) -> dict[str, str]:
        encoder = self.config["encoder"]
        return {
            "data": self.images.describe(),
            "encoder": f"{encoder['name']}, embeddings of {encoder['embedding_size']}",
            "loss": self.classifier.head.words(),
        }

    def warnings(self) -> list[str]:
        infeasible = self.classifier.head.margin.feasibility(
            self.images.num_classes, self.config["encoder"]["embedding_size"]
        )
        left_out = [
            f"the result will have no {metrics}: that takes {needs}."
            for metrics, needs in self._unmeasured.items()
        ]
        return left_out + ([infeasible] if infeasible else [])

    def data(self) -> dict:
        return self.images.summary()

    def model(self) -> dict:
        return {
            "loader": "nfml_jax.trained:load_classifier",
            "best": self.best,
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
        out, collections = self._training_classifier.apply(
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
        names, weights = self.images.class_names, _class_weights(variables)
        train_embeddings = apply(self._embed, variables, train.images)
        embeddings = apply(self._embed, variables, test.images)
        logits = apply(self._classify, variables, embeddings)

        metrics = {"test/accuracy": classification.accuracy(logits, test.labels)}
        if KNN not in self._unmeasured:
            metrics[KNN] = neighbours.knn_accuracy(
                train_embeddings, train.labels, embeddings, test.labels, NEIGHBOURS
            )
        target = geometry.target_angles(embeddings, weights, test.labels)
        other = geometry.nearest_other_angles(embeddings, weights, test.labels)
        confusion = classification.confusion_matrix(
            classification.predictions(logits), test.labels, self.images.num_classes
        )
        figures = {
            "target_angles": plots.angle_histograms(target, other),
            "confusion": plots.confusion_matrix(confusion, names),
        }
        if VERIFICATION not in self._unmeasured:
            verified, drawn = self._verify(train_embeddings, embeddings)
            metrics |= verified
            figures |= drawn
        if ANGLES not in self._unmeasured:
            metrics |= _under(
                "angles", geometry.angle_statistics(embeddings, test.labels, weights)
            )
        draw = {2: plots.embeddings_2d, 3: plots.embeddings_3d}.get(weights.shape[1])
        if draw:
            figures["embeddings"] = draw(embeddings, test.labels, weights, names)
        return Report(
            metrics,
            figures,
            histograms=_histograms("test", embeddings, target),
            embeddings={"test": self._projected(embeddings)},
        )

    def _verify(self, train_embeddings, embeddings):
        """Metrics and figures of all test pairs at a threshold of training pairs."""
        threshold = verification.choose_threshold(
            train_embeddings, self.images.train.labels, seed=self.config["data"]["seed"]
        )
        pairs = verification.all_pairs(embeddings, self.images.test.labels)
        roc = pairs.roc()
        metrics = verification.metrics(roc, threshold) | {"threshold": threshold}
        figures = {
            "pair_cosines": plots.pair_histograms(
                pairs.genuine, pairs.impostor, pairs.edges, threshold
            ),
            "roc": plots.roc_curve(roc),
        }
        return _under("verification", metrics), figures

    def _projected(self, embeddings):
        """Embeddings, class names and images of test examples of every class."""
        test = self.images.test
        shown = np.arange(len(test))
        if len(test) > PROJECTED:
            shown, _ = stratified(test.labels, PROJECTED)
        names = [self.images.class_names[label] for label in test.labels[shown]]
        return embeddings[shown], names, test.images[shown]

    def _embed(self, variables, images):
        return self.classifier.apply(variables, images, method="embed")

    def _classify(self, variables, embeddings):
        return self.classifier.apply(variables, embeddings, method="classify")


VERIFICATION, ANGLES, KNN = "verification/*", "angles/*", "test/knn_accuracy"


def _unmeasured(images: ImageData) -> dict[str, str]:
    """Metrics that a data set is too small for -> what they take."""
    train, test = images.train.labels, images.test.labels
    unmeasured = {}
    if not (verification.has_pairs(train) and verification.has_pairs(test)):
        unmeasured[VERIFICATION] = (
            "two classes, one of them with two images, both to train and to test on"
        )
    if len(np.unique(test)) < 2:
        unmeasured[ANGLES] = "two classes to test on"
    if len(train) < NEIGHBOURS:
        unmeasured[KNN] = f"{NEIGHBOURS} training images"
    return unmeasured


def _class_weights(variables):
    return np.asarray(variables["params"]["head"]["weights"])


def _histograms(section, embeddings, target_angles):
    norms = np.linalg.norm(embeddings, axis=1)
    return _under(section, {"embedding_norm": norms, "target_angle": target_angles})


def _under(section, values):
    return {f"{section}/{name}": value for name, value in values.items()}
