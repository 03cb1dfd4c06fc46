"""A trained model back from its run directory, as pure functions."""

import importlib
import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.batches import in_batches
from nfml_jax.data import ImageData
from nfml_jax.data import load as load_data
from nfml_jax.data.pictures import Look, picture_size, read_picture
from nfml_jax.errors import UserError
from nfml_jax.recognition import (
    Embedder,
    EmbeddingClassifier,
    make_classifier,
    make_learner,
)
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.run_directory import read_json

# Images that go through the network at once: its activations take the memory.
CHUNK = 256


class Verification(NamedTuple):
    """The cosine of each pair `[N]`, and whether it reaches the threshold `[N]`."""

    cosine: jax.Array
    same: jax.Array


@dataclass(frozen=True)
class TrainedEmbedder:
    """Pure, jitted functions of images uint8 `[N, H, W, C]` (or `[N, H, W]` if grey).

    Any number of images, none included, go through the network in chunks of `CHUNK`.
    `threshold` is the cosine from which two images are taken for the same class; it was
    chosen on training pairs and is None if this checkpoint hasn't been evaluated, or on
    data without pairs. `class_names` are the classes trained on.
    """

    module: Embedder
    variables: Any
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    threshold: float | None
    step: int
    crop: float = 1.0  # the share of a picture's sides that is looked at
    fit: str = "squeeze"  # what happens to a picture of other proportions

    @property
    def embedding_size(self) -> int:
        return self.module.encoder.embedding_size

    def embed(self, images) -> jax.Array:
        """Embeddings `[N, D]`, float32, as they leave the encoder (not normalised)."""
        return self._in_chunks(self._embed, images)

    def read(self, path: Path | str) -> np.ndarray:
        """A picture file as this model takes it, uint8 `[H, W, C]`.

        Nothing is looked for in it: it must show what those trained on do, as large and
        at the same place. Warns of other proportions and of too few pixels.
        UserError if it is no picture.
        """
        image = read_picture(path, self.look)
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
        """How pictures are cropped and resized, as those trained on were."""
        height, width, channels = self.image_shape
        return Look.of((height, width), channels, self.crop, self.fit)

    def verify(self, a, b) -> Verification:
        """Whether images `a` and `b`, pair by pair, show the same class."""
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
            raise UserError(
                f"images are {images.dtype} {list(images.shape)}; this model takes "
                f"uint8 [N, {height}, {width}, {channels}] with values 0 to 255."
            )
        return images


@dataclass(frozen=True)
class TrainedClassifier(TrainedEmbedder):
    """A `TrainedEmbedder` that also names the class."""

    module: EmbeddingClassifier

    @property
    def class_weights(self) -> np.ndarray:
        """The head's class weights `[C, D]`; of sub-centres, the dominant ones."""
        return np.asarray(self.module.apply(self.variables, method="class_weights"))

    def logits(self, images) -> jax.Array:
        """Class scores `[N, C]`; column j belongs to `class_names[j]`."""
        return self._in_chunks(self._logits, images)

    @cached_property
    def _logits(self):
        return jax.jit(lambda v, x: self.module.apply(v, x, method="logits"))


def load(run_dir: Path | str, checkpoint: str = "reported") -> Any:
    """The model of a run directory, as the run's experiment has it loaded.

    From its "last" or its "best" checkpoint, or from the "reported" one, which
    `result.json` speaks of (the last one while there is no result). The experiment
    names its loader: `model()["loader"]` is "module:function", called with the config,
    the Flax variables, the checkpoint's meta and the result or None. Runs of the margin
    experiment give a `TrainedClassifier`, those on pairs a `TrainedEmbedder`.

    Raises UserError if the directory holds no run, or no such checkpoint yet.
    """
    run_dir = Path(run_dir).expanduser()
    config = read_json(run_dir / "config.json") if run_dir.is_dir() else None
    if config is None:
        raise UserError(
            f"{run_dir} holds no run: there is no config.json; give the run directory "
            "that launch.py named at its end."
        )
    result = read_json(run_dir / "result.json")
    if checkpoint == "reported":
        checkpoint = result["reported"]["checkpoint"] if result else "last"
    if checkpoint not in ("last", "best"):
        raise UserError(
            f"checkpoint = {checkpoint!r}; choose 'reported', 'last' or 'best'."
        )
    try:
        variables, meta = _restored(run_dir / "checkpoints", checkpoint)
    except FileNotFoundError:
        raise UserError(
            f"{run_dir} has no {checkpoint} checkpoint; let the run reach its first."
        ) from None
    if "loader" not in meta["model"]:
        raise UserError(
            f"{run_dir} does not say how to load its model; let its experiment's "
            "model() give a 'loader'."
        )
    module, name = meta["model"]["loader"].split(":")
    loader = getattr(importlib.import_module(module), name)
    return loader(config, jax.tree.map(jnp.asarray, variables), meta, result)


def load_embedder(run_dir: Path | str, checkpoint: str = "reported") -> TrainedEmbedder:
    """As `load`, and UserError for a run that embeds no images."""
    model = load(run_dir, checkpoint)
    if not isinstance(model, TrainedEmbedder):
        raise UserError(
            f"{run_dir} holds a {type(model).__name__}, which embeds no images; give a "
            "run of an encoder of images, such as those of configs/lfw.py."
        )
    return model


def data_of(run_dir: Path | str) -> ImageData:
    """The labelled images that a run was trained and evaluated on.

    Raises UserError where the data that its config finds now are others.
    """
    config, result = (
        read_json(Path(run_dir) / f"{name}.json") for name in ("config", "result")
    )
    data = load_data(**config["data"])
    if result and result["data"]["digest"] != data.digest:
        raise UserError(
            f"{run_dir} was evaluated on {result['data']['name']} from "
            f"{result['data']['source']}, but its config finds {data.name} from "
            f"{data.source} now; bring those data back, or train again."
        )
    return data


def _restored(folder: Path, which: str):
    if not folder.is_dir():
        raise FileNotFoundError
    with Checkpoints(folder) as checkpoints:
        variables, meta = checkpoints.restore_model()
    if which == "last":
        return variables, meta
    # The meta say by which metric the best was chosen.
    with Checkpoints(folder, best=meta["model"].get("best")) as checkpoints:
        return checkpoints.restore_model("best")


def load_classifier(config, variables, meta, result) -> TrainedClassifier:
    """The loader of the margin experiment."""
    classes = meta["model"]["num_classes"]
    module = make_classifier(config["encoder"], config["head"], classes)
    return TrainedClassifier(module, variables, **_facts(config, meta, result))


def load_learner(config, variables, meta, result) -> TrainedEmbedder:
    """The loader of the experiment on pairs."""
    classes = meta["model"]["num_classes"]
    module = make_learner(config["encoder"], config["objective"], classes)
    return TrainedEmbedder(module, variables, **_facts(config, meta, result))


def _facts(config, meta, result) -> dict:
    """What a `TrainedEmbedder` says of itself."""
    metrics = {}
    if result and result["reported"]["step"] == meta["step"]:
        metrics = result["metrics"]
    return {
        "class_names": tuple(meta["model"]["class_names"]),
        "image_shape": tuple(meta["model"]["image_shape"]),
        "threshold": metrics.get("verification/threshold"),
        "step": meta["step"],
        "crop": config["data"].get("crop", 1.0),
        "fit": config["data"].get("fit", "squeeze"),
    }
