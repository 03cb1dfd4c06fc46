"""The evaluation of embeddings that experiments on labeled images share."""

import copy
from functools import cached_property, partial

import numpy as np

from experiments import beside, linear_start, one_shot
from experiments.measurable import ANGLES, KNN, NEIGHBORS, VERIFICATION, unmeasured
from experiments.settings import PictureSettings
from nfml_jax import plots
from nfml_jax.data import ImageData, repeats
from nfml_jax.data.draws import stratified
from nfml_jax.evaluation import (
    accept_rates,
    class_angles,
    classification,
    clustering,
    folds,
    neighbors,
    retrieval,
    verification,
)
from nfml_jax.training.experiment import Experiment, Report, under
from nfml_jax.training.sharding import AXIS

# Rows of the projector: enough to see the classes, few enough for a browser.
PROJECTED = 2_000

RETRIEVAL = ("recall@1", "map@r")


class EmbeddingExperiment(Experiment):
    """An encoder of labeled images with any kind of training.

    The contract is `nfml_jax.training.experiment.Experiment`; a subclass gives the rest
    of it, `make_model`, `class_centers` and `class_scores`. If the test has classes
    that weren't trained on, no accuracy is reported, and embeddings are clustered
    instead.
    """

    settings: PictureSettings

    def __init__(self, settings: PictureSettings, images: ImageData):
        self.images = images
        self._configure(settings)
        train = images.train
        self.train_arrays = {"image": train.images, "label": train.labels}
        self._unmeasured = unmeasured(images) | one_shot.unmeasured(settings)

    def with_config(self, config: dict) -> "EmbeddingExperiment":
        """Return this experiment on its images with other numbers, traced or not."""
        other = copy.copy(self)
        other._configure(type(self.settings).of(config))
        return other

    def _configure(self, settings):
        before = getattr(self, "settings", None)
        self.settings = settings
        if before is None or linear_start.differs(before, settings):
            self._linear = linear_start.start(self.images, settings)
        self._model = self.make_model()
        self._training_model = self.make_model(axis_name=AXIS)

    def make_model(self, axis_name: str | None = None):
        """Return the Flax module of the settings with `embed(images)`.

        `axis_name` is the device axis while training.
        """
        raise NotImplementedError

    def class_centers(self, variables, train_embeddings) -> np.ndarray:
        """Return a vector `[C, D]` for each class, perhaps from `train_embeddings`."""
        raise NotImplementedError

    def class_scores(self, variables, apply, embeddings, centers) -> np.ndarray:
        """Return scores `[N, C]` of embeddings `[N, D]`, given the classes' centers."""
        raise NotImplementedError

    @cached_property
    def _beside(self) -> dict[str, float]:
        """Return the metrics of the baselines, which depend on the images only."""
        return beside.metrics(self.images, self.settings, self._unmeasured)

    @cached_property
    def _faults(self) -> list[str]:
        """Return sentences on pictures that occur twice or show nothing."""
        return repeats.faults(self.images)

    def _begun(self, variables: dict) -> dict:
        """Return the initial variables, with the linear part of the embedding set."""
        if not self._linear:
            return variables
        params = variables["params"]
        encoder = params["encoder"] | {"linear": self._linear}
        return {**variables, "params": params | {"encoder": encoder}}

    def describe(self) -> dict[str, str]:
        encoder = self.settings.encoder
        return self.images.header() | {
            "encoder": f"{encoder.name}, embeddings of {encoder.embedding_size}",
        }

    def warnings(self) -> list[str]:
        return self._faults + [
            f"the result will have no {metrics}: that takes {needs}."
            for metrics, needs in self._unmeasured.items()
        ]

    def data(self) -> dict:
        return self.images.summary()

    def model(self) -> dict:
        return {
            "best": self.best,
            "num_classes": self.images.num_classes,
            "class_names": list(self.images.class_names),
            "image_shape": list(self.images.image_shape),
        }

    def report(self, variables, apply) -> Report:
        train, test = self.images.train, self.images.test
        train_embeddings = apply(self._embed, variables, train.images)
        embeddings = apply(self._embed, variables, test.images)
        centers = self.class_centers(variables, train_embeddings)
        if self.images.open_set:
            report = self._report_of_unseen(embeddings)
        else:
            scores = self.class_scores(variables, apply, embeddings, centers)
            report = self._report_of_classes(embeddings, scores, centers)
            if KNN not in self._unmeasured:
                report.metrics[KNN] = neighbors.knn_accuracy(
                    train_embeddings, train.labels, embeddings, test.labels, NEIGHBORS
                )
        if VERIFICATION not in self._unmeasured:
            verified, drawn = self._verify(
                self._threshold(variables, apply, train_embeddings), embeddings
            )
            report.metrics |= verified
            report.figures = {**report.figures, **drawn}
            found = retrieval.metrics(embeddings, test.labels, names=RETRIEVAL)
            report.metrics |= under("retrieval", found)
        if self.settings.one_shot is not None:
            embed = partial(apply, self._embed, variables)
            found = one_shot.accuracies(self.settings, embed, embeddings, test.labels)
            report.metrics |= under("one_shot", found)
        if self.settings.baselines:
            report.metrics |= self._beside
        report.metrics |= self.validate(variables, apply).metrics
        if ANGLES not in self._unmeasured:
            known = None if self.images.open_set else centers
            angles = class_angles.angle_statistics(embeddings, test.labels, known)
            report.metrics |= under("angles", angles)
        draw = {2: plots.embeddings_2d, 3: plots.embeddings_3d}.get(centers.shape[1])
        if draw:
            rays = None if self.images.open_set else centers
            figure = draw(embeddings, test.labels, rays, self.images.label_names)
            report.figures = {**report.figures, "embeddings": figure}
        report.embeddings = {"test": self._projected(embeddings)}
        return report

    def _report_of_classes(self, embeddings, scores, centers) -> Report:
        test, names = self.images.test, self.images.class_names
        target = class_angles.target_angles(embeddings, centers, test.labels)
        other = class_angles.nearest_other_angles(embeddings, centers, test.labels)
        figures = {"target_angles": plots.angle_histograms(target, other)}
        if self.images.num_classes <= classification.MOST_CLASSES:
            predicted = classification.predictions(scores)
            confusion = classification.confusion_matrix(
                predicted, test.labels, self.images.num_classes
            )
            figures["confusion"] = plots.confusion_matrix(confusion, names)
        return Report(
            {"test/accuracy": classification.accuracy(scores, test.labels)},
            figures,
            histograms=histograms("test", embeddings, target),
        )

    def _report_of_unseen(self, embeddings) -> Report:
        found = clustering.metrics(embeddings, self.images.test.labels)
        return Report(
            under("clustering", found), histograms=histograms("test", embeddings)
        )

    def _threshold(self, variables, apply, train_embeddings) -> float:
        """Return the cosine that best separates pairs of training images.

        Where the test is of unseen classes, pairs of validation images are used:
        embeddings of training classes lie closer to their class than those of unknown
        classes do.
        """
        labels, held_out = self.images.train.labels, self.images.validation
        if (
            self.images.open_set
            and held_out
            and verification.has_pairs(held_out.labels)
        ):
            labels = held_out.labels
            train_embeddings = apply(self._embed, variables, held_out.images)
        return verification.choose_threshold(
            train_embeddings, labels, seed=self.settings.data.seed or 0
        )

    def _verify(self, threshold, embeddings):
        """Return metrics and figures of the protocol's pairs, or of all test pairs."""
        pairs = self.images.pairs
        if pairs is None:
            counted = verification.all_pairs(embeddings, self.images.test.labels)
            roc, edges = counted.roc(), counted.edges
            kinds = counted.genuine, counted.impostor
        else:
            rows = np.stack([pairs.first, pairs.second], axis=1)
            scores = folds.index_pair_scores(embeddings, rows)
            kinds = scores[pairs.genuine], scores[~pairs.genuine]
            roc, edges = accept_rates.roc(*kinds), None
        metrics = verification.metrics(roc, threshold) | {"threshold": threshold}
        figures = {
            "pair_cosines": plots.pair_histograms(*kinds, edges, threshold),
            "roc": plots.roc_curve(roc),
            "det": plots.det_curve(roc),
        }
        return under("verification", metrics), figures

    def _projected(self, embeddings):
        """Return embeddings, class names and images of test examples of every class."""
        test = self.images.test
        shown = np.arange(len(test))
        if len(test) > PROJECTED:
            shown, _ = stratified(test.labels, PROJECTED)
        names = [self.images.label_names[label] for label in test.labels[shown]]
        return embeddings[shown], names, test.images[shown]

    def _embed(self, variables, images):
        return self._model.apply(variables, images, method="embed")


def histograms(section, embeddings, target_angles=None):
    """Return norms of embeddings, and angles to their classes' centers if given."""
    shown = {"embedding_norm": np.linalg.norm(embeddings, axis=1)}
    if target_angles is not None:
        shown["target_angle"] = target_angles
    return under(section, shown)
