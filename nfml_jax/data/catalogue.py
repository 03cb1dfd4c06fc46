"""Any tfds data set that is already prepared and has an image and a label."""

import os
from typing import Any, cast

import numpy as np

from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.errors import UserError

TEST_SPLITS = ("test", "validation")


def load_catalogue(name: str, *, data_dir=None) -> Loaded:
    """Load a prepared tfds data set: its train split, and its test or validation split.

    It is read without TensorFlow if it was prepared as array_record, else with it.

    Raises UserError if it is not prepared, not of labeled uint8 images of one size, or
    needs a package that is missing.
    """
    try:
        import tensorflow_datasets as tfds
        from tensorflow_datasets.core import read_only_builder
    except ImportError as error:
        raise UserError(
            f"tfds:{name} needs the package tensorflow-datasets; "
            "`pip install tensorflow-datasets array_record`."
        ) from error
    tfds.disable_progress_bar()
    try:
        # tfds itself reads the variable once, when it is imported.
        folder = data_dir or os.environ.get("TFDS_DATA_DIR")
        builder = read_only_builder.builder_from_files(name, data_dir=folder)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise UserError(
            f"tfds:{name} is not prepared in {data_dir or 'the folder of tfds'}; "
            "prepare it with tfds first, as array_record to do without TensorFlow."
        ) from error
    # The annotations of tfds are those of any feature.
    features = cast(Any, builder.info.features)
    is_labeled = {"image", "label"} <= set(features or ())
    if not is_labeled or not hasattr(features["label"], "names"):
        raise UserError(
            f"tfds:{name} has the features {', '.join(features or ())}; "
            "expected an image and a class label."
        )
    test = next((split for split in TEST_SPLITS if split in builder.info.splits), None)
    if test is None or "train" not in builder.info.splits:
        raise UserError(
            f"tfds:{name} has the splits {', '.join(builder.info.splits)}; "
            "expected train, and test or validation."
        )
    return Loaded(
        f"tfds:{builder.info.full_name}",
        f"prepared {builder.info.full_name}",
        tuple(features["label"].names),
        _read(tfds, builder, "train"),
        _read(tfds, builder, test),
    )


def _read(tfds, builder, split: str) -> Split:
    name = f"tfds:{builder.info.full_name}"
    try:
        if builder.info.file_format in tfds.core.FileFormat.with_random_access():
            examples = builder.as_data_source(split)
        else:
            examples = tfds.as_numpy(builder.as_dataset(split=split))
        pairs = [(example["image"], example["label"]) for example in examples]
    except ImportError as error:
        raise UserError(
            f"{name} was prepared as {builder.info.file_format.value}, which needs "
            f"{error.name}; `pip install {error.name}`, or prepare it as array_record."
        ) from error
    if not pairs:
        raise UserError(
            f"{name} has no example in {split}; expected some to train and to test on."
        )
    shapes = {image.shape for image, _ in pairs}
    if len(shapes) != 1 or pairs[0][0].dtype != np.uint8 or pairs[0][0].ndim != 3:
        raise UserError(
            f"{name} has {pairs[0][0].dtype} images of {len(shapes)} shapes in {split};"
            " expected uint8 [H, W, C] of one shape: export it as an image_folder, "
            "which is resized."
        )
    images, labels = zip(*pairs, strict=True)
    return Split(np.stack(images), np.array(labels, np.int32))
