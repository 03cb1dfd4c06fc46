"""Densities of images by maximum likelihood: bits per dimension, classes, latents."""

import dataclasses
import functools
import math
import operator
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from experiments.image_figures import TEMPERATURES, Drawing
from experiments.settings import ImageSettings
from nfml_jax import plots
from nfml_jax.bijectors.continuous import has_continuous
from nfml_jax.bijectors.permutations import CONSTANTS
from nfml_jax.data.pixels import PixelData, load_pixels, move
from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.evaluation import classification
from nfml_jax.evaluation.bits_per_dim import BitsPerDim, Ledger
from nfml_jax.evaluation.class_bits import of_classes, with_class
from nfml_jax.evaluation.pixel_baselines import trivial_baselines
from nfml_jax.flows.pixel_programs import PixelPrograms, keys_of
from nfml_jax.flows.recipes.images import make_image_flow
from nfml_jax.training.experiment import Batch, Experiment, Report, under
from nfml_jax.training.randomness import purpose_key, root_key

# Random streams of layers in training: see nets.conditioners and bijectors.residual.
DRAWS = ("dropout", "log_det")

# Images seen by layers that initialize parameters from data.
INITIAL_IMAGES = 256


class ImagesExperiment(Experiment):
    """A flow on images, trained on a bound of the mean negative log-likelihood.

    The contract is `nfml_jax.training.experiment.Experiment`. A config's sections are
    those of `experiments.settings.ImageSettings`. A class-conditional flow is trained
    on log P(x | class); it gives a classifier by Bayes' rule, and the bits per
    dimension of the mixture of classes, which are comparable with those of a flow that
    knows no labels.
    """

    def __init__(self, config: dict):
        self.settings = ImageSettings.of(config)
        self.images = load_pixels(**self.settings.data.to_config())
        self.levels = self.images.levels
        self.event_shape = self.images.event_shape
        labeled = self.settings.class_conditional
        self.context = context_of(self.images) if labeled else None
        self.flow = make_image_flow(
            self.event_shape,
            self.settings.flow.to_config(),
            levels=self.levels,
            noise=self.settings.noise.to_config(),
            context_dim=self.context.size if self.context else 0,
        )
        importance = self.settings.report.importance
        if self.flow.estimates and importance > 1:
            raise UserError(
                f"report.importance is {importance}, and the log-determinants of "
                f"{self.settings.flow.recipe} are estimated, so that several draws "
                "would be no bound; set report.importance to 1."
            )
        self.checked = not has_continuous(self.flow)
        self.programs = PixelPrograms(self.flow)
        train = self.images.train
        self.train_arrays = (train, *self.given("train")) if labeled else train
        held_out = self.images.validation is not None
        self.best = "validation/log_likelihood" if held_out else None
        self._per_dim = -1 / (math.prod(self.event_shape) * math.log(2))
        bound = self.settings.flow.options.get("max_log_scale")
        if bound is not None:
            self.remedy = (
                "Scales of layers multiply, so that one image can be scaled out of all "
                f"bounds; flow.max_log_scale is {bound:g}: set a smaller one."
            )

    def given(self, part: str) -> tuple[np.ndarray, ...]:
        """Return the flow's arguments after a part's images: the classes, if any."""
        if self.context is None:
            return ()
        return (self.context.encode(self.images.labels[part]),)

    def describe(self) -> dict[str, str]:
        return self.images.header() | {
            "flow": self.settings.flow.words()
            + (f", given one of {self.context.size} classes" if self.context else ""),
            "noise": self.settings.noise.words(),
            "loss": "bits per dimension, an upper bound",
        }

    def data(self) -> dict:
        return self.images.summary()

    def model(self) -> dict:
        model = {
            "loader": "pixels",
            "best": self.best,
            "image_shape": list(self.event_shape),
            "levels": self.levels,
        }
        if self.context:
            model["context"] = dataclasses.asdict(self.context)
        return model

    def init(self, key):
        images = jnp.asarray(self.images.train[:INITIAL_IMAGES])
        given = (jnp.asarray(rows[:INITIAL_IMAGES]) for rows in self.given("train"))
        return self.flow.init(key, images, jax.random.fold_in(key, 1), *given)

    def loss(self, params, collections, batch: Batch, step):
        images, *given = batch.data if self.context else (batch.data,)
        images = move(images, batch.keys, **self.settings.augment.to_config())
        rngs = {n: jax.random.fold_in(batch.keys[0], i) for i, n in enumerate(DRAWS)}
        terms, changed = self.flow.apply(
            {"params": params, **collections},
            images,
            batch.keys,
            *given,
            method="terms",
            rngs=rngs,
            mutable=[name for name in collections if name != CONSTANTS],
        )
        parts = {name: self._per_dim * t.mean() for name, t in terms.items()}
        bits = functools.reduce(operator.add, parts.values())
        return bits, ({**collections, **changed}, {"bits_per_dim": bits, **parts})

    def validate(self, variables, apply) -> Report:
        part = "train" if self.best is None else "validation"
        drawing = Drawing(self, variables, apply, part)
        used = under("log_det", drawing.limits_used())
        title = f"temperature {TEMPERATURES[-1]:g}"
        grid = {title: drawing.samples(TEMPERATURES[-1])}
        figures = {"samples": plots.image_grids(grid, self.levels - 1)}
        return Report(self._validated(variables, apply) | used, figures=figures)

    def report(self, variables, apply) -> Report:
        found, report = self._test(variables, apply)
        metrics = found.metrics("test") | under("terms", found.terms) | report.metrics
        for name, baseline in self.baselines.items():
            metrics[f"{name}/bits_per_dim"] = baseline.mean
        metrics |= self._validated(variables, apply)
        drawing = Drawing(self, variables, apply)
        metrics |= under("log_det", drawing.limits_used())
        metrics["test/round_trip"] = drawing.round_trip()
        lost = ~np.isfinite(drawing.samples(1.0)).all(axis=(1, 2, 3))
        metrics["samples/not_finite"] = np.count_nonzero(lost)
        return Report(
            {name: float(value) for name, value in metrics.items()},
            figures=drawing.figures(found) | dict(report.figures),
            histograms={"test/bits_per_dim": found.per_image},
        )

    def _validated(self, variables, apply) -> dict[str, float]:
        """Return the bits of the validation images, from one draw of noise."""
        if self.best is None:
            return {}
        found = self._bits(variables, apply, "validation", importance=1)
        if self.context:
            labels = self.images.labels["validation"]
            found = with_class(found, self.context.prior, labels)
        return found.metrics("validation") | {self.best: found.mean / self._per_dim}

    @cached_property
    def baselines(self) -> dict[str, BitsPerDim]:
        """The baselines, which depend on the images only."""
        parts = self.images.parts
        known = [parts[name] for name in ("train", "validation") if name in parts]
        return trivial_baselines(np.concatenate(known), parts["test"], self.levels)

    def _test(self, variables, apply) -> tuple[BitsPerDim, Report]:
        """Return the bits of the test images, and the report of a classifier, if any.

        A class-conditional flow is evaluated once for each class.
        """
        importance = self.settings.report.importance
        context = self.context
        if context is None:
            return self._bits(variables, apply, "test", importance), Report()

        def bits(labels):
            given = (context.encode(labels),)
            return self._bits(variables, apply, "test", importance, given)

        labels, classes = self.images.labels["test"], context.classes
        found = of_classes(bits, context.prior, labels)
        metrics = under("test", classification.metrics(found.log_posterior, labels))
        of_label = found.marginal.terms["class"] + found.marginal.terms["mixture"]
        metrics["given_class/bits_per_dim"] = found.marginal.mean - of_label
        reliability = classification.reliability(found.log_posterior, labels)
        figures = {"reliability": plots.reliability_diagram(reliability)}
        if len(classes) <= classification.MOST_CLASSES:
            counts = classification.confusion_matrix(
                found.log_posterior.argmax(axis=1), labels, len(classes)
            )
            figures["confusion"] = plots.confusion_matrix(counts, classes)
        return found.marginal, Report(metrics, figures)

    def _bits(self, variables, apply, part, importance, given=None) -> BitsPerDim:
        """Return bits per dimension of a part, from `importance` draws per image.

        `given` are other classes than the images' own.
        """
        images = self.images.parts[part]
        given = self.given(part) if given is None else given
        ledger = Ledger(
            self.event_shape,
            levels=self.levels,
            samples=importance,
            padded=self.flow.padded,
            estimated=self.flow.estimates,
            alpha=self.settings.flow.options.get("alpha"),
        )
        rows = np.arange(len(images), dtype=np.uint32)
        draws = [
            apply(self._terms, variables, rows, np.full_like(rows, m), images, *given)
            for m in range(importance)
        ]
        ledger.add(**{name: np.stack([d[name] for d in draws]) for name in draws[0]})
        return ledger.result()

    def sample(self, variables, numbers, temperatures, *given):
        """Return draws as floats, each keyed by its number."""
        keys = keys_of(self._key("samples"), numbers)
        return self.programs.sample(variables, keys, temperatures, *given)

    def parts(self, variables, rows, images, *given):
        """Return the log-determinants and the latents' log-densities of images."""
        arguments = images, keys_of(self._key("noise"), rows, 0 * rows), *given
        log_dets = self.programs.log_dets(variables, *arguments)
        return log_dets, self.programs.latent_log_probs(variables, *arguments)

    def _terms(self, variables, rows, draws, images, *given):
        keys = keys_of(self._key("noise"), rows, draws)
        return self.programs.terms(variables, images, keys, *given)

    def _key(self, purpose: str) -> jax.Array:
        return purpose_key(root_key(self.settings.seed), purpose)


def context_of(images: PixelData) -> Context:
    """Return the classes of labeled images; UserError for images without labels."""
    if not images.classes or "train" not in images.labels:
        raise UserError(
            f"{images.name} has no classes; set class_conditional=False, or take "
            "labeled images such as mnist, fashion_mnist or digits."
        )
    return Context.of_classes(images.classes, images.labels["train"])
