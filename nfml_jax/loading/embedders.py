"""Trained encoders of images as pure functions, as `nfml_jax.loading` returns them."""

import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.data.look import Look
from nfml_jax.data.pictures import picture_size, read_picture
from nfml_jax.data.repeats import blank
from nfml_jax.errors import UserError
from nfml_jax.loading.pretrained import Shareable
from nfml_jax.loading.recognition import (
    Embedder,
    EmbeddingClassifier,
    make_classifier,
    make_learner,
)
from nfml_jax.loading.settings import EncoderSettings, HeadSettings, ObjectiveSettings
from nfml_jax.ops.batches import in_batches

# Maximum number of images in one pass, since activations dominate the memory.
CHUNK = 256


class Verification(NamedTuple):
    """The cosine of each pair `[N]`, and whether it reaches the threshold `[N]`."""

    cosine: jax.Array
    same: jax.Array


@dataclass(frozen=True, repr=False)
class TrainedEmbedder(Shareable):
    """Pure, jitted functions of images uint8 `[N, H, W, C]`, or gray `[N, H, W]`.

    Any number of images, including none, is processed in chunks of `CHUNK`. `threshold`
    is the cosine from which two images are classified as the same class. It was chosen
    on training pairs, and is None if this checkpoint hasn't been evaluated, or for data
    without pairs. `class_names` are the classes trained on.
    """

    module: Embedder
    variables: Any
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    threshold: float | None
    step: int
    crop: float = 1.0  # the fraction of a picture's sides that is used
    fit: str = "squeeze"  # the treatment of a picture of other proportions

    @property
    def embedding_size(self) -> int:
        return self.module.encoder.embedding_size

    def embed(self, images) -> jax.Array:
        """Return embeddings `[N, D]`, float32, before any normalization."""
        return self._in_chunks(self._embed, images)

    def read(self, path: Path | str) -> np.ndarray:
        """Read a picture file as this model takes it, uint8 `[H, W, C]`.

        The picture is not searched: it must show the same kind of object as the
        training pictures, at the same size and place. Warns of other proportions, of
        too few pixels and of a single color. Raises UserError if the file is not a
        picture.
        """
        image = read_picture(path, self.look)
        if blank(image[None])[0]:
            warnings.warn(
                f"{path} has a single color, so no answer about it means anything; "
                "give another picture.",
                stacklevel=2,
            )
        height, width, _ = self.image_shape
        across, down = self.look.looked_at(picture_size(path))
        alike = 0.9 < (across / down) / (width / height) < 1 / 0.9
        squeezed = self.fit == "squeeze" and not alike
        if squeezed or across < width / 2:
            warnings.warn(
                f"{path}, of which {across:.0f} by {down:.0f} pixels are looked at, is "
                f"{'squeezed' if squeezed else 'blown up'} to {width} by {height}; "
                "give a picture cut out as those trained on are.",
                stacklevel=2,
            )
        return image

    @property
    def look(self) -> Look:
        """Return how pictures are cropped and resized, which is as in training."""
        height, width, channels = self.image_shape
        return Look.of((height, width), channels, self.crop, self.fit)

    def verify(self, a, b) -> Verification:
        """Return whether images `a` and `b`, pair by pair, show the same class."""
        if self.threshold is None:
            raise UserError(
                "this checkpoint has no threshold, because it wasn't evaluated or its "
                "data have no pairs; load the one that result.json reports, or let the "
                "run finish."
            )
        a, b = self.embed(a), self.embed(b)
        if len(a) != len(b):
            raise UserError(f"verify got {len(a)} and {len(b)} images, not pairs.")
        norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
        cosine = (a * b).sum(-1) / jnp.maximum(norms, 1e-12)
        return Verification(cosine, cosine >= self.threshold)

    def _in_chunks(self, function, images):
        of_images = partial(function, self.variables)
        return jnp.asarray(in_batches(of_images, CHUNK, self._images(images)))

    @cached_property
    def _embed(self):
        return jax.jit(lambda v, x: self.module.apply(v, x, method="embed"))

    def _images(self, images):
        images = np.asarray(images)
        height, width, channels = self.image_shape
        if channels == 1 and images.shape[1:] == (height, width):
            images = images[..., None]
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            single = images.shape in (self.image_shape, self.image_shape[:2])
            remedy = "; give a single image as image[None]" if single else ""
            raise UserError(
                f"images are {images.dtype} {list(images.shape)}; this model takes "
                f"uint8 [N, {height}, {width}, {channels}] with values 0 to 255"
                f"{remedy}."
            )
        return images


@dataclass(frozen=True, repr=False)
class TrainedClassifier(TrainedEmbedder):
    """A `TrainedEmbedder` that also classifies."""

    module: EmbeddingClassifier

    @property
    def class_weights(self) -> np.ndarray:
        """Return the class weights `[C, D]`; of sub-centers, the dominant ones."""
        return np.asarray(self.module.apply(self.variables, method="class_weights"))

    def logits(self, images) -> jax.Array:
        """Return class scores `[N, C]`; column j belongs to `class_names[j]`."""
        return self._in_chunks(self._logits, images)

    @cached_property
    def _logits(self):
        return jax.jit(lambda v, x: self.module.apply(v, x, method="logits"))


def load_classifier(config, variables, meta, result) -> TrainedClassifier:
    """Load a run of the margin experiment."""
    classes = meta["model"]["num_classes"]
    encoder = EncoderSettings.of(config["encoder"])
    module = make_classifier(encoder, HeadSettings.of(config["head"]), classes)
    return TrainedClassifier(module, variables, **_facts(config, meta, result))


def load_learner(config, variables, meta, result) -> TrainedEmbedder:
    """Load a run of the experiment on pairs."""
    classes = meta["model"]["num_classes"]
    encoder = EncoderSettings.of(config["encoder"])
    objective = ObjectiveSettings.of(config["objective"])
    module = make_learner(encoder, objective, classes)
    return TrainedEmbedder(module, variables, **_facts(config, meta, result))


def _facts(config, meta, result) -> dict:
    """Return the arguments of a `TrainedEmbedder` that describe it."""
    metrics = {}
    reported = (result or {}).get("reported")
    if reported and reported["step"] == meta["step"]:
        metrics = result["metrics"]
    return {
        "class_names": tuple(meta["model"]["class_names"]),
        "image_shape": tuple(meta["model"]["image_shape"]),
        "threshold": metrics.get("verification/threshold"),
        "step": meta["step"],
        "crop": config["data"].get("crop", 1.0),
        "fit": config["data"].get("fit", "squeeze"),
    }
