"""The metrics that a set of images allows, and the one that chooses the best step."""

import numpy as np

from nfml_jax.data import ImageData
from nfml_jax.errors import UserError
from nfml_jax.evaluation import verification

NEIGHBORS = 5

VERIFICATION, ANGLES, KNN = "verification/*", "angles/*", "test/knn_accuracy"


def unmeasured(images: ImageData) -> dict[str, str]:
    """Return the metrics for which a data set is too small, with their requirements."""
    train, test = images.train.labels, images.test.labels
    lacking = {}
    if not (verification.has_pairs(train) and verification.has_pairs(test)):
        lacking[VERIFICATION] = (
            "two classes, one of them with two images, both to train and to test on"
        )
    if len(np.unique(test)) < 2:
        lacking[ANGLES] = "two classes to test on"
    if len(train) < NEIGHBORS:
        lacking[KNN] = f"{NEIGHBORS} training images"
    return lacking


def validation_metric(images: ImageData, classifies: bool) -> str | None:
    """Return the metric on validation images that chooses the best step, or None.

    It is the accuracy of a model that `classifies`. It is MAP@R for other models, and
    for images of classes that weren't trained on.

    Raises UserError, before anything is trained, if the images have no pairs to rank.
    """
    held_out = images.validation
    if held_out is None:
        return None
    unseen = images.open_set or np.any(held_out.labels >= images.num_classes)
    if classifies and not unseen:
        return "validation/accuracy"
    if not verification.has_pairs(held_out.labels):
        raise UserError(
            f"{images.name} has {len(held_out):,} images to validate on, and "
            "validation/map@r takes two classes of them, one with two images or more; "
            f"set data.validation to {2 * images.num_classes} images, say, or to 0 for "
            "none, or add images to the validation folder if there is one."
        )
    return "validation/map@r"
