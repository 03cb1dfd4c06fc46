"""Labelled images by name: ``load("mnist")`` finds, checks and reads a data set."""

from functools import partial

from nfml_jax.data.arrays import (
    ImageData,
    Split,
    make_image_data,
    set_aside,
    shrink,
)
from nfml_jax.data.idx_sets import MNIST, load_idx_set

DATASETS = {
    "mnist": partial(load_idx_set, MNIST),
}


def load(
    name,
    *,
    source="auto",
    manual_dir=None,
    data_dir=None,
    validation=0.0,
    seed=0,
    max_train=None,
    max_test=None,
    **options,
) -> ImageData:
    """A data set by name, as arrays."""
    data = DATASETS[name](
        source=source, manual_dir=manual_dir, data_dir=data_dir, **options
    )
    test = shrink(data.test, max_test, seed, "max_test")
    train = shrink(data.train, max_train, seed, "max_train")
    train, held_out = set_aside(train, validation, seed)
    return make_image_data(
        data.name, data.source, data.class_names, train, test, held_out
    )


__all__ = ["DATASETS", "ImageData", "Split", "load"]
