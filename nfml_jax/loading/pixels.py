"""Trained flows of images: bits per dimension, classes, and edits of latents."""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.data.look import Look
from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import BitsPerDim
from nfml_jax.evaluation.class_bits import ClassBits, of_classes
from nfml_jax.evaluation.measured_bits import measure
from nfml_jax.flows.pixel_programs import between
from nfml_jax.flows.recipes.images import make_image_flow
from nfml_jax.loading.pixel_model import CHUNK, PixelModel
from nfml_jax.ops.checks import check_integer, check_number


@dataclass(frozen=True, repr=False)
class TrainedPixelFlow(PixelModel):
    """Functions of images `[N, H, W, C]` of integer levels.

    Noise and draws are keyed by a seed and the number of the image, so a result does
    not depend on the images beside it, and a longer draw begins with the shorter one.

    With classes the flow is conditional: methods take the class as `context`, by number
    or by name, one for all images or one for each.
    """

    def bits_per_dim(
        self, images, samples: int = 1, seed: int = 0, context=None
    ) -> BitsPerDim:
        """Return bits per dimension: the mean, its standard error, and per image.

        It is an upper bound, tighter with more `samples` of noise for each image. Of a
        class-conditional flow it is that of P(x | class) given a `context`, the class
        of all images or of each; without one that of the mixture of classes.
        """
        images = self._checked(images)
        if context is None and self.classes:
            return self._of_classes(images, samples, seed).marginal
        return self._measured(images, samples, seed, self._given(context, len(images)))

    def log_prob(self, images, samples: int = 1, seed: int = 0, context=None):
        """Return lower bounds of log P(x) `[N]` in nats; see `bits_per_dim`."""
        bits = self.bits_per_dim(images, samples, seed, context).per_image
        return -bits * np.log(2) * np.prod(self.image_shape)

    def posterior(self, images, samples: int = 1, seed: int = 0) -> np.ndarray:
        """Return P(class | x) `[N, classes]` by Bayes' rule, for a conditional flow.

        Every class is scored with the same draws of noise.
        """
        if not self.classes:
            raise UserError(
                "the flow isn't class-conditional, so it cannot classify; train one "
                "with --config.class_conditional=True."
            )
        found = self._of_classes(self._checked(images), samples, seed)
        return np.exp(found.log_posterior)

    def interpolate(self, first, last, n: int, context=None) -> np.ndarray:
        """Return `n` images `[n, H, W, C]` between two, along a line of latents.

        Args:
          first: An image `[H, W, C]`, which the result begins with.
          last: The image that it ends with.
          n: The number of images, 2 or more.
          context: The class of both images, or of each; for a class-conditional flow.
            Between two classes the conditions lie on a line, too.
        """
        check_integer("interpolate", 2, n=n)
        given = self._given(context, 2)
        ends = self._checked(np.stack([first, last]))
        latents = np.asarray(self._encode(self.variables, ends, *given))
        shares = np.linspace(0, 1, n, dtype=np.float32)
        return self._decoded(*(between(shares, *pair) for pair in (latents, *given)))

    def reconstruct(
        self,
        images,
        keep: int = 1,
        temperature: float = 0.0,
        seed: int = 0,
        context=None,
    ) -> np.ndarray:
        """Return images `[N, H, W, C]` of the latents of their coarsest scales alone.

        Args:
          images: The images to encode.
          keep: The number of scales whose latents stay; all give the images back.
          temperature: That of the draws of the other latents; 0 is their mean.
          seed: That of these draws.
          context: The class of all images, or of each; for a class-conditional flow.
        """
        last = int(self.scales.max())
        check_integer("reconstruct", 0, last, keep=keep)
        check_number("reconstruct", 0.0, temperature=temperature)
        latents = self.encode(images, context)
        drawn = np.random.default_rng(seed).normal(size=latents.shape) * temperature
        latents = np.where(self.scales > last - keep, latents, drawn)
        return self.decode(latents, context)

    def attribute(self, positive, negative, context=(None, None)) -> np.ndarray:
        """Return the direction `[H, W, C]` from latents of one set to another's.

        Added to the latents of an image it gives the image more of what the images
        `positive` have and `negative` lack (Kingma & Dhariwal 2018, section 6.1). A
        class-conditional flow needs the classes of both sets as `context`.
        """
        sets = zip((positive, negative), context, strict=True)
        ours, others = (self.encode(images, given).mean(0) for images, given in sets)
        return ours - others

    def _measured(self, images, samples, seed, given) -> BitsPerDim:
        return measure(
            lambda *rows: self._terms(self.variables, *rows),
            images,
            jax.random.key(seed),
            levels=self.levels,
            samples=samples,
            context=given[0] if given else None,
            batch=CHUNK,
            padded=self.flow.padded,
            estimated=self.flow.estimates,
        )

    def _of_classes(self, images, samples, seed) -> ClassBits:
        assert self.context is not None  # it has the classes

        def bits(classes):
            return self._measured(
                images, samples, seed, self._given(classes, len(images))
            )

        nobody = np.zeros(len(images), int)
        return of_classes(bits, self.context.prior, nobody, known=False)


def load_pixels(config: Mapping, variables, meta: Mapping, result) -> TrainedPixelFlow:
    """Load a run of the experiment on images; see `nfml_jax.load`."""
    shape, levels = tuple(meta["model"]["image_shape"]), meta["model"]["levels"]
    context = meta["model"].get("context")
    context = Context(**context) if context else None
    seen = {k: v for k, v in config["data"].items() if k in ("crop", "fit") and v}
    return TrainedPixelFlow(
        flow=make_image_flow(
            shape,
            config["flow"],
            levels=levels,
            noise=config["noise"],
            context_dim=context.size if context else 0,
        ),
        variables=jax.tree.map(jnp.asarray, variables),
        image_shape=shape,
        levels=levels,
        step=meta["step"],
        look=Look.of(shape[:2], shape[2], **seen),
        context=context,
    )
