"""Sets of labeled images as vectors: a row of pixels in [0, 1], given its class."""

import numpy as np

from nfml_jax.data import load
from nfml_jax.data.vectors.arrays import LoadedVectors


def load_image_rows(
    name: str,
    *,
    source: str = "auto",
    validation: float = 0.1,
    manual_dir=None,
    data_dir=None,
    seed: int = 0,
) -> LoadedVectors:
    """Return labeled images as rows; the arguments are those of `nfml_jax.data.load`.

    A row holds the pixels, from row to row of the image, and the number of the class.
    """
    images = load(
        name,
        source=source,
        manual_dir=manual_dir,
        data_dir=data_dir,
        validation=validation,
        seed=seed,
    )

    def rows(split):
        pixels = split.images.reshape(len(split), -1) / np.float32(255)
        return np.column_stack([pixels, split.labels.astype(np.float32)])

    size = int(np.prod(images.image_shape))
    return LoadedVectors(
        images.name,
        images.source,
        (*map(str, range(size)), "class"),
        rows(images.train),
        None if images.validation is None else rows(images.validation),
        rows(images.test),
        given=1,
        classes=images.class_names,
    )
