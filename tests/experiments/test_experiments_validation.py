"""The metric on validation images is decided, or refused, before training."""

import numpy as np
import pytest

from experiments.measurable import validation_metric
from nfml_jax.data.arrays import Split, make_image_data
from nfml_jax.errors import UserError


def images(validation, test=(0, 1)):
    """Data trained on the classes a and b, with c and d unseen."""

    def split(labels):
        return Split(np.zeros((len(labels), 1, 1, 1), np.uint8), np.int32(labels))

    validation = None if validation is None else split(validation)
    return make_image_data(
        "set", "made up", "ab", split([0, 1]), split(test), validation, "cd"
    )


@pytest.mark.parametrize(
    ("validation", "test", "classifies", "metric"),
    [
        (None, (0, 1), True, None),
        (None, (2, 3), False, None),
        ((0, 1), (0, 1), True, "validation/accuracy"),
        ((0, 0, 1), (0, 1), False, "validation/map@r"),
        ((0, 0, 1), (2, 3), True, "validation/map@r"),
        ((2, 2, 3), (0, 1), True, "validation/map@r"),
    ],
)
def test_classes_that_are_not_trained_on_are_ranked(
    validation, test, classifies, metric
):
    assert validation_metric(images(validation, test), classifies) == metric


@pytest.mark.parametrize("validation", [(0, 1), (2, 3), (2,), (2, 2)])
def test_validation_images_without_pairs_are_refused(validation):
    with pytest.raises(UserError, match="validation to 4 images, say, or"):
        validation_metric(images(validation, (2, 3)), classifies=True)
