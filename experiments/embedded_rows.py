"""The embeddings of a trained encoder's data, as vectors with their classes."""

import numpy as np

from nfml_jax.data import load
from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.errors import UserError
from nfml_jax.loading import config_of, data_of, load_embedder

REST = "rest"
"""For `outside`: the classes of the run's own data set that it wasn't trained on."""


def load_embedded_rows(run: str | None, outside: str | None = None) -> LoadedVectors:
    """Return the embeddings of the images that the run directory `run` was trained on.

    They are not normalized, since their norms carry information, too. The last number
    of a row is its class. `outside` names a data set of images whose test part becomes
    the rows outside, or is "rest"; None leaves them out.

    Raises UserError if there is no such run, or if its data have changed.
    """
    if not run:
        raise UserError(
            "data.run is empty; set it to the run directory of a trained encoder, "
            "whose embeddings are the data."
        )
    model, images = load_embedder(run), data_of(run)
    config = config_of(run)

    def rows(split):
        if split is None:
            return None
        labels = split.labels.astype(np.float32)
        return np.column_stack([model.embed(split.images), labels])

    unknown = _unknown_rows(outside, config["data"], images)
    return LoadedVectors(
        f"{images.name}_embeddings",
        f"{images.source}, by {config['name']}",
        (*map(str, range(model.embedding_size)), "class"),
        rows(images.train),
        rows(images.validation),
        rows(images.test),
        given=1,
        classes=images.class_names,
        outside=None if unknown is None else np.asarray(model.embed(unknown)),
    )


def _unknown_rows(outside, data, images):
    """Return test images of other classes than those trained on, or None."""
    if not outside:
        return None
    places = {name: data.get(name) for name in ("source", "manual_dir", "data_dir")}
    found = load(data["name"] if outside == REST else outside, **places)
    if found.image_shape != images.image_shape:
        raise UserError(
            f"{found.name} has images of {found.image_shape}, the run takes "
            f"{images.image_shape}; give data.outside another data set."
        )
    if outside != REST:
        return found.test.images
    trained_on = np.isin(found.class_names, images.class_names)
    if trained_on.all():
        raise UserError(
            f"{images.name} has no class that the run wasn't trained on; set "
            "data.classes of its config, or give data.outside another data set."
        )
    return found.test.images[~trained_on[found.test.labels]]
