"""Baselines of a trained encoder on the same test: pixels, whitened PCA and LDA."""

import numpy as np

from experiments import one_shot
from experiments.settings import PictureSettings
from nfml_jax.data import ImageData
from nfml_jax.data.draws import stratified
from nfml_jax.evaluation import (
    accept_rates,
    baselines,
    class_angles,
    classification,
    folds,
    neighbors,
    retrieval,
    verification,
)
from nfml_jax.ops.distances import unit
from nfml_jax.training.experiment import under

NEIGHBORS = 5


def metrics(
    images: ImageData, settings: PictureSettings, unmeasured
) -> dict[str, float]:
    """Return the metrics of every baseline, named "pixels/test/accuracy" and so on.

    They are the model's metrics that a cosine can give, without the names in
    `unmeasured`. A class is the nearest mean of its training images. At most
    `baselines.ROWS` training images are used, drawn in the classes' proportions.
    """
    train = images.train
    if len(train) > baselines.ROWS:
        train = train.take(stratified(train.labels, baselines.ROWS)[0])
    found = {}
    for name, embed in baselines.fit(train.images, train.labels).items():
        given = embed(train.images), embed(images.test.images)
        measured = _measured(images, train.labels, *given, unmeasured)
        if settings.one_shot is not None:
            shots = one_shot.accuracies(settings, embed, given[1], images.test.labels)
            measured |= under("one_shot", shots)
        found |= under(name, measured)
    return found


def _measured(images, train_labels, train, test, unmeasured) -> dict[str, float]:
    labels, measured = images.test.labels, {}
    if not images.open_set:
        means, known = class_angles.class_means(train, train_labels)
        nearest = known[np.argmax(unit(test) @ unit(means).T, axis=1)]
        measured["test/accuracy"] = classification.accuracy(nearest, labels)
        if "test/knn_accuracy" not in unmeasured:
            measured["test/knn_accuracy"] = neighbors.knn_accuracy(
                train, train_labels, test, labels, NEIGHBORS
            )
    if "verification/*" not in unmeasured:
        roc = _roc(images, test)
        measured |= {"verification/eer": roc.eer, "verification/auc": roc.auc}
        ranked = retrieval.metrics(test, labels, names=("recall@1",))
        measured |= under("retrieval", ranked)
    return measured


def _roc(images, test):
    if images.pairs is None:
        return verification.all_pairs(test, images.test.labels).roc()
    rows = np.stack([images.pairs.first, images.pairs.second], axis=1)
    scores = folds.index_pair_scores(test, rows)
    return accept_rates.roc(scores[images.pairs.genuine], scores[~images.pairs.genuine])
