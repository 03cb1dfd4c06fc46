"""A trained flow of images, and its maps between images and latents."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nfml_jax.data.look import Look
from nfml_jax.data.pictures import read_picture
from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.flows.pixel_programs import PixelPrograms, keys_of
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.scales import latent_scales
from nfml_jax.loading.labels import encode_labels
from nfml_jax.loading.pretrained import Shareable
from nfml_jax.ops.batches import in_batches
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.levels import as_levels

# Maximum number of images in one pass, since activations dominate the memory.
CHUNK = 64

# Images that are not finite and that an error names.
NAMED = 5


@dataclass(frozen=True, repr=False)
class PixelModel(Shareable):
    """The flow, the form of its images, and draws, latents and images.

    Attributes:
      flow: The flow.
      variables: Its variables.
      image_shape: `(H, W, C)`.
      levels: The number of values that a pixel can have.
      step: The step at which training ended.
      look: The form that picture files get.
      context: The classes of a class-conditional flow, or None.
    """

    flow: Quantized
    variables: Any
    image_shape: tuple[int, int, int]
    levels: int
    step: int
    look: Look
    context: Context | None = None

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

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; empty if the flow isn't class-conditional."""
        return tuple(self.context.classes) if self.context else ()

    @cached_property
    def scales(self) -> np.ndarray:
        """The scale of each latent, integers `[H, W, C]` from 1 (the finest)."""
        return latent_scales(self.flow)

    def sample(
        self, seed: int, n: int, temperature: float = 1.0, context=None
    ) -> np.ndarray:
        """Return `n` draws `[n, H, W, C]` of levels.

        A `temperature` below 1 draws more probable latents. A class-conditional flow
        draws images of the class `context`, one for all or one for each, and without it
        classes by their shares of the training images. Raises UserError if a draw is
        not finite.
        """
        check_number("sample", above=0.0, temperature=temperature)
        check_integer("sample", 1, n=n)
        if context is None and self.context is not None:
            prior = np.asarray(self.context.prior)
            context = np.random.default_rng(seed).choice(len(prior), n, p=prior)
        key = jax.random.key(seed)
        numbers = np.arange(n, dtype=np.uint32)
        temperatures = np.full(n, temperature, np.float32)
        rows = numbers, temperatures, *self._given(context, n)

        def draws(*rows):
            return self._sample(self.variables, key, *rows)

        return self._as_levels(in_batches(draws, CHUNK, *rows), "samples")

    def encode(self, images, context=None) -> np.ndarray:
        """Return the latents `[N, H, W, C]` of images, all scales in one array.

        They are those of the middle of each level, without a draw of noise. A
        class-conditional flow needs the class of the images as `context`.
        """
        images = self._checked(images)

        def latents(*part):
            return self._encode(self.variables, *part)

        return in_batches(latents, CHUNK, images, *self._given(context, len(images)))

    def decode(self, latents, context=None) -> np.ndarray:
        """Return the images `[N, H, W, C]` of latents; the inverse of `encode`."""
        latents = np.asarray(latents, np.float32)
        shape = self.flow.base_shape
        if latents.shape[1:] != shape:
            raise UserError(
                f"latents have shape {list(latents.shape)}; this flow has "
                f"[N, {', '.join(map(str, shape))}]."
            )
        return self._decoded(latents, *self._given(context, len(latents)))

    def _given(self, context, count) -> tuple[np.ndarray, ...]:
        """Return the arguments that follow images in a call of the flow."""
        if context is None and self.context is None:
            return ()
        return (encode_labels(self.context, context, count),)

    def _decoded(self, *rows) -> np.ndarray:
        def images(*part):
            return self._decode(self.variables, *part)

        return self._as_levels(in_batches(images, CHUNK, *rows), "decoded images")

    def _checked(self, images) -> np.ndarray:
        return as_levels(images, self.levels, self.image_shape)

    def _as_levels(self, images, name) -> np.ndarray:
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        if len(bad):
            named = ", ".join(map(str, bad[:NAMED])) + (", ..." * (len(bad) > NAMED))
            raise UserError(
                f"{len(bad)} of {len(images)} {name} are not finite (number {named}); "
                "take a lower temperature, or train again with a smaller "
                "flow.max_log_scale."
            )
        return images.astype(np.uint8 if self.levels <= 256 else np.uint16)

    @cached_property
    def _programs(self) -> PixelPrograms:
        return PixelPrograms(self.flow)

    @cached_property
    def _terms(self):
        return jax.jit(self._programs.terms)

    @cached_property
    def _encode(self):
        return jax.jit(self._programs.encode)

    @cached_property
    def _decode(self):
        return jax.jit(self._programs.decode)

    @cached_property
    def _sample(self):
        def sample(variables, key, numbers, *rows):
            keys = keys_of(key, numbers)
            return self._programs.sample(variables, keys, *rows)

        return jax.jit(sample)
