"""Densities of images by maximum likelihood: bits per dimension, samples, latents."""

import math
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from experiments.settings import ImageSettings
from nfml_jax import plots
from nfml_jax.bijectors.permutations import CONSTANTS
from nfml_jax.data.pixels import load_pixels, move
from nfml_jax.evaluation.bits_per_dim import BitsPerDim, Ledger
from nfml_jax.evaluation.neighbors import top_k
from nfml_jax.evaluation.pixel_baselines import trivial_baselines
from nfml_jax.flows.recipes.images import make_image_flow
from nfml_jax.training.experiment import Batch, Experiment, Report
from nfml_jax.training.randomness import purpose_key, root_key

# Images seen by layers that initialize parameters from data.
INITIAL_IMAGES = 256

# Temperatures of the samples in the figure.
TEMPERATURES = (0.6, 0.8, 1.0)

# Samples beside their nearest training images; lines between images, and their length.
BESIDE, LINES = 18, 8


class ImagesExperiment(Experiment):
    """A flow on images, trained on a bound of the mean negative log-likelihood.

    The contract is `nfml_jax.training.experiment.Experiment`. A config's sections are
    those of `experiments.settings.ImageSettings`.
    """

    def __init__(self, config: dict):
        self.settings = ImageSettings.of(config)
        self.images = load_pixels(**self.settings.data.to_config())
        self.levels = self.images.levels
        self.event_shape = self.images.event_shape
        self.flow = make_image_flow(
            self.event_shape,
            self.settings.flow.to_config(),
            levels=self.levels,
            noise=self.settings.noise.to_config(),
        )
        self.train_arrays = self.images.train
        held_out = self.images.validation is not None
        self.best = "validation/log_likelihood" if held_out else None
        self._per_dim = -1 / (math.prod(self.event_shape) * math.log(2))

    def describe(self) -> dict[str, str]:
        return self.images.header() | {
            "flow": self.settings.flow.words(),
            "noise": self.settings.noise.words(),
            "loss": "bits per dimension, an upper bound",
        }

    def data(self) -> dict:
        return self.images.summary()

    def model(self) -> dict:
        return {
            "loader": "pixels",
            "best": self.best,
            "image_shape": list(self.event_shape),
            "levels": self.levels,
        }

    def init(self, key):
        images = jnp.asarray(self.train_arrays[:INITIAL_IMAGES])
        return self.flow.init(key, images, jax.random.fold_in(key, 1))

    def loss(self, params, collections, batch: Batch, step):
        images = move(batch.data, batch.keys, **self.settings.augment.to_config())
        terms, changed = self.flow.apply(
            {"params": params, **collections},
            images,
            batch.keys,
            method="terms",
            mutable=[name for name in collections if name != CONSTANTS],
        )
        parts = {name: self._per_dim * t.mean() for name, t in terms.items()}
        bits = parts["density"] + parts["dequantize"]
        return bits, ({**collections, **changed}, {"bits_per_dim": bits, **parts})

    def validate(self, variables, apply) -> Report:
        if self.best is None:
            return Report()
        found = self._bits(variables, apply, "validation", importance=1)
        log_likelihood = found.mean / self._per_dim
        return Report(found.metrics("validation") | {self.best: log_likelihood})

    def report(self, variables, apply) -> Report:
        importance = self.settings.report.importance
        found = self._bits(variables, apply, "test", importance)
        metrics = found.metrics("test")
        metrics |= {f"terms/{name}": value for name, value in found.terms.items()}
        for name, baseline in self._baselines.items():
            metrics[f"{name}/bits_per_dim"] = baseline.mean
        metrics |= self.validate(variables, apply).metrics
        metrics |= self._round_trip(variables, apply)
        drawn = self._samples(variables, apply)
        lost = ~np.isfinite(drawn[1.0]).all(axis=(1, 2, 3))
        metrics["samples/not_finite"] = np.count_nonzero(lost)
        figures = self._figures(variables, apply, found, drawn)
        return Report(
            {name: float(value) for name, value in metrics.items()},
            figures=figures,
            histograms={"test/bits_per_dim": found.per_image},
        )

    @cached_property
    def _baselines(self) -> dict[str, BitsPerDim]:
        """The baselines, which depend on the images only."""
        parts = self.images.parts
        known = [parts[name] for name in ("train", "validation") if name in parts]
        return trivial_baselines(np.concatenate(known), parts["test"], self.levels)

    def _bits(self, variables, apply, part, importance) -> BitsPerDim:
        """Return bits per dimension of a part, from `importance` draws per image."""
        images = self.images.parts[part]
        ledger = Ledger(
            self.event_shape,
            levels=self.levels,
            samples=importance,
            alpha=self.settings.flow.options.get("alpha"),
        )
        rows = np.arange(len(images), dtype=np.uint32)
        draws = [
            apply(self._terms, variables, rows, np.full_like(rows, m), images)
            for m in range(importance)
        ]
        ledger.add(**{name: np.stack([d[name] for d in draws]) for name in draws[0]})
        return ledger.result()

    def _round_trip(self, variables, apply) -> dict[str, float]:
        """Return the largest difference of levels after a way to latents and back."""
        images = self.images.parts["test"][: self.settings.report.samples]
        again = apply(self._decode, variables, apply(self._encode, variables, images))
        return {"test/round_trip": np.abs(again - images).max()}

    def _samples(self, variables, apply) -> dict[float, np.ndarray]:
        """Return draws of the model by temperature; each has the same latents."""
        count = self.settings.report.samples
        numbers = np.arange(count, dtype=np.uint32)
        return {
            t: apply(self._sample, variables, numbers, np.full(count, t, np.float32))
            for t in TEMPERATURES
        }

    def _figures(self, variables, apply, found: BitsPerDim, drawn):
        count = self.settings.report.samples
        test = self.images.parts["test"]
        order = np.argsort(found.per_image)
        few = min(count, len(test)) // 2
        extremes = np.concatenate([test[order[:few]], test[order[-few:]]])
        lines = min(LINES, len(test) // 2)
        pairs = test[:lines], test[lines : 2 * lines]
        grids = {f"temperature {t:g}": images for t, images in drawn.items()}
        beside = np.stack([drawn[1.0][:BESIDE], self._nearest(drawn[1.0][:BESIDE])], 1)
        figures = {
            "samples": grids,
            "best_and_worst": {"fewest and most bits per dimension": extremes},
            "nearest": {
                "samples, left of their nearest training images": (
                    beside.reshape(-1, *self.event_shape)
                )
            },
            "interpolation": {
                "from one test image to another": self._lines(variables, apply, *pairs)
            },
        }
        top = self.levels - 1
        return {name: plots.image_grids(grids, top) for name, grids in figures.items()}

    def _nearest(self, samples) -> np.ndarray:
        """Return the training image at the least Euclidean distance of each sample.

        They show whether samples are memorized.
        """
        train = self.images.train
        _, places = top_k(_rows(np.nan_to_num(samples)), _rows(train), 1, "euclidean")
        return train[places[:, 0]]

    def _lines(self, variables, apply, first, last) -> np.ndarray:
        """Return images `[LINES · pairs, H, W, C]` on the lines between latents."""
        ends = [apply(self._encode, variables, images) for images in (first, last)]
        shares = np.linspace(0, 1, LINES, dtype=np.float32)
        latents = [(1 - s) * ends[0] + s * ends[1] for s in shares]
        rows = np.stack(latents, axis=1).reshape(-1, *self.event_shape)
        return apply(self._decode, variables, rows)

    def _keys(self, purpose, *numbers):
        """Return a key for each row of numbers."""
        key = purpose_key(root_key(self.settings.seed), purpose)

        def one(*numbers):
            return jax.tree.reduce(jax.random.fold_in, numbers, key)

        return jax.vmap(one)(*numbers)

    def _terms(self, variables, rows, draws, images):
        keys = self._keys("noise", rows, draws)
        return self.flow.apply(variables, images, keys, method="terms")

    def _encode(self, variables, images):
        return self.flow.apply(variables, images, method="encode")

    def _decode(self, variables, latents):
        return self.flow.apply(variables, latents, method="decode")

    def _sample(self, variables, numbers, temperatures):
        def one(key, temperature):
            return temperature * self.flow.apply(
                variables, key, method="sample_latents"
            )

        latents = jax.vmap(one)(self._keys("samples", numbers), temperatures)
        return self.flow.apply(variables, latents, method="decode")


def _rows(images) -> np.ndarray:
    return np.asarray(images, np.float32).reshape(len(images), -1)
