"""A trained model back from its run directory, as pure functions."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.names import look_up
from nfml_jax.recognition import EmbeddingClassifier, make_classifier
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.run_directory import read_json


class Verification(NamedTuple):
    """The cosine of each pair `[N]`, and whether it reaches the threshold `[N]`."""

    cosine: jax.Array
    same: jax.Array


@dataclass(frozen=True)
class TrainedClassifier:
    """Pure, jitted functions of images uint8 `[N, H, W, C]` (or `[N, H, W]` if grey).

    `threshold` is the cosine from which two images are taken for the same class; it was
    chosen on training pairs and is None if this checkpoint hasn't been evaluated.
    """

    module: EmbeddingClassifier
    variables: Any
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    threshold: float | None
    step: int

    @property
    def class_weights(self) -> np.ndarray:
        """The head's class weights `[C, D]`."""
        return np.asarray(self.variables["params"]["head"]["weights"])

    @property
    def embedding_size(self) -> int:
        return self.class_weights.shape[1]

    def embed(self, images) -> jax.Array:
        """Embeddings `[N, D]`, float32, as they leave the encoder (not normalised)."""
        return self._embed(self.variables, self._images(images))

    def logits(self, images) -> jax.Array:
        """Class scores `[N, C]`; column j belongs to `class_names[j]`."""
        return self._logits(self.variables, self._images(images))

    def verify(self, a, b) -> Verification:
        """Whether images `a` and `b`, pair by pair, show the same class."""
        if self.threshold is None:
            raise UserError(
                "this checkpoint has no threshold, because it wasn't evaluated; load "
                "the one that result.json reports, or let the run finish."
            )
        a, b = self.embed(a), self.embed(b)
        if len(a) != len(b):
            raise UserError(f"verify got {len(a)} and {len(b)} images, not pairs.")
        norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
        cosine = (a * b).sum(-1) / jnp.maximum(norms, 1e-12)
        return Verification(cosine, cosine >= self.threshold)

    @cached_property
    def _embed(self):
        return jax.jit(lambda v, x: self.module.apply(v, x, method="embed"))

    @cached_property
    def _logits(self):
        return jax.jit(lambda v, x: self.module.apply(v, x, method="logits"))

    def _images(self, images):
        images = jnp.asarray(images)
        height, width, channels = self.image_shape
        if channels == 1 and images.shape[1:] == (height, width):
            images = images[..., None]
        if images.dtype != jnp.uint8 or images.shape[1:] != self.image_shape:
            raise UserError(
                f"images are {images.dtype} {list(images.shape)}; this model takes "
                f"uint8 [N, {height}, {width}, {channels}] with values 0 to 255."
            )
        return images


def load(run_dir: Path | str, checkpoint: str = "last") -> TrainedClassifier:
    """The model of a run directory, from its "last" or its "best" checkpoint.

    Raises UserError if the directory holds no run, or no checkpoint yet.
    """
    run_dir = Path(run_dir).expanduser()
    if checkpoint not in ("last", "best"):
        raise UserError(f"checkpoint = {checkpoint!r}; choose 'last' or 'best'.")
    config = read_json(run_dir / "config.json")
    if config is None:
        raise UserError(
            f"{run_dir} holds no run: there is no config.json; give the run directory "
            "that launch.py named at its end."
        )
    best = "validation/accuracy"
    try:
        if not (run_dir / "checkpoints").is_dir():
            raise FileNotFoundError
        with Checkpoints(run_dir / "checkpoints", best=best) as checkpoints:
            variables, meta = checkpoints.restore_model(checkpoint)
    except FileNotFoundError:
        raise UserError(
            f"{run_dir} has no {checkpoint} checkpoint; let the run reach its first."
        ) from None
    return look_up(LOADERS, config["experiment"], "experiment")(
        config, variables, meta, read_json(run_dir / "result.json")
    )


def _load_classifier(config, variables, meta, result):
    model = meta["model"]
    metrics = {}
    if result and result["reported"]["step"] == meta["step"]:
        metrics = result["metrics"]
    return TrainedClassifier(
        module=make_classifier(config["encoder"], config["head"], model["num_classes"]),
        variables=jax.tree.map(jnp.asarray, variables),
        class_names=tuple(model["class_names"]),
        image_shape=tuple(model["image_shape"]),
        threshold=metrics.get("verification/threshold"),
        step=meta["step"],
    )


LOADERS = {"margin": _load_classifier}
