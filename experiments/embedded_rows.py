"""What a trained encoder makes of its data, as vectors with their classes."""

import numpy as np

from nfml_jax.data import load
from nfml_jax.errors import UserError
from nfml_jax.loading import config_of, data_of, load_embedder
from nfml_jax.vectors.arrays import LoadedVectors

REST = "rest"
"""For `outside`: the classes of the run's own data set that it wasn't trained on."""


def load_embedded_rows(run: str, outside: str = "") -> LoadedVectors:
    """The embeddings of the images that the run directory `run` was trained on.

    As they leave the encoder: their norm says something, too. A row holds the number of
    its class at the end. `outside` names a data set of images whose test part becomes
    the rows outside, or is "rest"; "" leaves them out.

    Raises UserError if there is no such run, or its data aren't what they were.
    """
    if not run:
        raise UserError(
            "there is no run to take embeddings of; set data.run to the directory of "
            "one that trained an encoder."
        )
    model, images = load_embedder(run), data_of(run)
    config = config_of(run)

    def rows(split):
        if split is None:
            return None
        labels = split.labels.astype(np.float32)
        return np.column_stack([model.embed(split.images), labels])

    strangers = _strangers(outside, config["data"], images)
    return LoadedVectors(
        f"{images.name}_embeddings",
        f"{images.source}, by {config['name']}",
        (*map(str, range(model.embedding_size)), "class"),
        rows(images.train),
        rows(images.validation),
        rows(images.test),
        given=1,
        classes=images.class_names,
        outside=None if strangers is None else np.asarray(model.embed(strangers)),
    )


def _strangers(outside, data, images):
    """Test images of other classes than those trained on, or None."""
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
