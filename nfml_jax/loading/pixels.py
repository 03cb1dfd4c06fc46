"""Trained flows of images: bits per dimension, samples and latents of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.data.pictures import Look, read_picture
from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import BitsPerDim
from nfml_jax.evaluation.measured_bits import measure
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.recipes.images import make_image_flow
from nfml_jax.loading.pretrained import Shareable
from nfml_jax.ops.batches import in_batches
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.levels import as_levels

# Maximum number of images in one pass, since activations dominate the memory.
CHUNK = 64


@dataclass(frozen=True)
class TrainedPixelFlow(Shareable):
    """Pure, jitted functions of images `[N, H, W, C]` of integer levels.

    Noise and draws are keyed by a seed and the number of the image, so a result does
    not depend on the images beside it, and a longer draw begins with the shorter one.
    """

    flow: Quantized
    variables: Any
    image_shape: tuple[int, int, int]
    levels: int
    step: int
    look: Look

    def words(self) -> str:
        """Return the form of the images in words: "28×28×1 pixels of 256 levels"."""
        return f"{'×'.join(map(str, self.image_shape))} pixels of {self.levels} levels"

    def read(self, path: Path | str) -> np.ndarray:
        """Read a picture file as the run's images were, uint8 `[H, W, C]`.

        Raises UserError for a file that is no picture, and for a flow of other than 256
        levels, since files are read in 8 bits.
        """
        if self.levels != 256:
            raise UserError(
                f"pictures are read in 256 levels, and this flow has {self.levels}; "
                "give arrays of levels to bits_per_dim."
            )
        return read_picture(path, self.look)

    def bits_per_dim(self, images, samples: int = 1, seed: int = 0) -> BitsPerDim:
        """Return bits per dimension: the mean, its standard error, and per image.

        It is an upper bound, tighter with more `samples` of noise for each image.
        """
        return measure(
            lambda *args: self._terms(self.variables, *args),
            self._checked(images),
            jax.random.key(seed),
            levels=self.levels,
            samples=samples,
            batch=CHUNK,
        )

    def log_prob(self, images, samples: int = 1, seed: int = 0) -> np.ndarray:
        """Return lower bounds of log P(x) `[N]` in nats."""
        bits = self.bits_per_dim(images, samples, seed).per_image
        return -bits * np.log(2) * np.prod(self.image_shape)

    def sample(self, seed: int, n: int, temperature: float = 1.0) -> np.ndarray:
        """Return `n` draws `[n, H, W, C]` of levels.

        A `temperature` below 1 draws more probable latents. Raises UserError if a draw
        is not finite.
        """
        check_number("sample", above=0.0, temperature=temperature)
        check_integer("sample", 0, n=n)
        key = jax.random.key(seed)
        numbers = np.arange(n, dtype=np.uint32)

        def draws(numbers):
            return np.asarray(self._sample(self.variables, key, numbers, temperature))

        return self._as_levels(in_batches(draws, CHUNK, numbers), "samples")

    def encode(self, images) -> np.ndarray:
        """Return the latents `[N, H, W, C]` of images, all scales in one array.

        They are those of the middle of each level, without a draw of noise.
        """
        images = self._checked(images)

        def latents(part):
            return np.asarray(self._encode(self.variables, part))

        return in_batches(latents, CHUNK, images)

    def decode(self, latents) -> np.ndarray:
        """Return the images `[N, H, W, C]` of latents; of `encode`, the same levels."""
        latents = np.asarray(latents, np.float32)
        if latents.shape[1:] != self.image_shape:
            raise UserError(
                f"latents have shape {list(latents.shape)}; this flow has "
                f"[N, {', '.join(map(str, self.image_shape))}]."
            )

        def images(part):
            return np.asarray(self._decode(self.variables, part))

        return self._as_levels(in_batches(images, CHUNK, latents), "decoded images")

    def interpolate(self, first, last, n: int) -> np.ndarray:
        """Return `n` images `[n, H, W, C]` between two, along a line of latents.

        Args:
          first: An image `[H, W, C]`, which the result begins with.
          last: The image that it ends with.
          n: The number of images, 2 or more.
        """
        check_integer("interpolate", 2, n=n)
        a, b = self.encode(np.stack([first, last]))
        shares = np.linspace(0, 1, n)[:, None, None, None]
        return self.decode((1 - shares) * a + shares * b)

    def attribute(self, positive, negative) -> np.ndarray:
        """Return the direction `[H, W, C]` from latents of one set to another's.

        Added to the latents of an image it gives the image more of what the images
        `positive` have and `negative` lack (Kingma & Dhariwal 2018, section 6.1).
        """
        return self.encode(positive).mean(0) - self.encode(negative).mean(0)

    def _checked(self, images) -> np.ndarray:
        return as_levels(images, self.levels, self.image_shape)

    def _as_levels(self, images, name) -> np.ndarray:
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        if len(bad):
            raise UserError(
                f"{len(bad)} of {len(images)} {name} are not finite (the first is "
                f"number {bad[0]}); draw at a lower temperature, or train again with "
                "a smaller flow.max_log_scale."
            )
        return images.astype(np.uint8 if self.levels <= 256 else np.uint16)

    @cached_property
    def _terms(self):
        def terms(variables, images, keys, context):
            return self.flow.apply(variables, images, keys, context, method="terms")

        return jax.jit(terms)

    @cached_property
    def _encode(self):
        return jax.jit(lambda v, x: self.flow.apply(v, x, method="encode"))

    @cached_property
    def _decode(self):
        return jax.jit(lambda v, z: self.flow.apply(v, z, method="decode"))

    @cached_property
    def _sample(self):
        @jax.jit
        def sample(variables, key, numbers, temperature):
            def one(number):
                own = jax.random.fold_in(key, number)
                return self.flow.apply(variables, own, method="sample_latents")

            latents = jax.vmap(one)(numbers) * temperature
            return self.flow.apply(variables, latents, method="decode")

        return sample


def load_pixels(config: Mapping, variables, meta: Mapping, result) -> TrainedPixelFlow:
    """Load a run of the experiment on images; see `nfml_jax.load`."""
    shape, levels = tuple(meta["model"]["image_shape"]), meta["model"]["levels"]
    seen = {k: v for k, v in config["data"].items() if k in ("crop", "fit") and v}
    return TrainedPixelFlow(
        flow=make_image_flow(
            shape, config["flow"], levels=levels, noise=config["noise"]
        ),
        variables=jax.tree.map(jnp.asarray, variables),
        image_shape=shape,
        levels=levels,
        step=meta["step"],
        look=Look.of(shape[:2], shape[2], **seen),
    )
