"""Figures of a flow of images: samples, latents, and where its bits come from."""

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from experiments.image_bits import BitsByPart
from experiments.settings import ImageSettings
from nfml_jax import plots
from nfml_jax.data.pixels import PixelData
from nfml_jax.data.vectors.context import Context
from nfml_jax.evaluation.bits_per_dim import BitsPerDim
from nfml_jax.evaluation.neighbors import top_k
from nfml_jax.flows.pixel_programs import PixelPrograms, between
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.scales import latent_scales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Temperatures of the samples in the figure, and those of a class.
TEMPERATURES = (0.6, 0.8, 1.0)
OF_CLASSES = 0.8

# The images in a row, the lines between images, and the images on a line.
ROW, LINES = 12, 8

# Baselines in a figure, and their words there.
COMPARED = {"pixel_histograms": "histogram of each pixel", "bz2": "bzip2"}

# Images whose log-density is looked at in parts.
INSPECTED = 256

# Samples of a class, and classes, at most.
OF_CLASS, CLASSES = 8, 20


class Drawn(Protocol):
    """The parts of an experiment with images that its figures are drawn from."""

    settings: ImageSettings
    images: PixelData
    levels: int
    context: Context | None
    flow: Quantized
    programs: PixelPrograms

    @property
    def baselines(self) -> dict[str, BitsPerDim]: ...

    def given(self, part: str) -> tuple[np.ndarray, ...]: ...

    def sample(self, variables, numbers, temperatures, *given): ...

    def parts(self, variables, rows, images, *given): ...


class Drawing:
    """The samples and reconstructions of a trained flow, and the figures of them.

    Images to look at are those of a `part` of the data.
    """

    def __init__(self, experiment: Drawn, variables, apply, part: str = "test"):
        self.experiment, self.variables, self.apply = experiment, variables, apply
        self.programs = experiment.programs
        self.count = experiment.settings.report.samples
        self.images, self._part = experiment.images.parts[part], part
        self.top = experiment.levels - 1
        self._drawn: dict[float, np.ndarray] = {}

    def samples(self, temperature: float) -> np.ndarray:
        """Return draws `[count, H, W, C]`, the same latents at each temperature.

        Classes take turns.
        """
        if temperature not in self._drawn:
            classes = self._classes(np.arange(self.count))
            self._drawn[temperature] = self._sample(
                np.arange(self.count), temperature, classes
            )
        return self._drawn[temperature]

    def round_trip(self) -> float:
        """Return the largest difference of levels after encoding and decoding."""
        images, given = self._first(self.count)
        again = self._decode(self._encode(images, *given), *given)
        return float(np.abs(again - images).max())

    def figures(self, found: BitsPerDim) -> "dict[str, Figure]":
        """Return the figures of a report, given the bits of the test images."""
        by_temperature = {f"temperature {t:g}": self.samples(t) for t in TEMPERATURES}
        lines = {"latents on lines between two test images": self._lines()}
        baselines = {
            words: self.experiment.baselines[name].mean
            for name, words in COMPARED.items()
        }
        figures = {
            "samples": plots.image_grids(by_temperature, self.top),
            "reconstructions": self._reconstructions(),
            "nearest": self._nearest(),
            "interpolation": plots.image_grids(lines, self.top),
            "bits": plots.bits_histogram(
                found.per_image,
                self.images,
                self.top,
                baselines,
                f"{found.mean:.3f} bits per dimension of the test images",
            ),
        }
        if self._bits.limited:
            figures["log_dets"] = self._bits.draw_limits()
        if self.experiment.settings.noise.steps is None:
            figures["parts"] = self._bits.draw()
        if self.experiment.context is not None:
            figures["classes"] = self._by_class()
        return figures

    def limits_used(self) -> dict[str, float]:
        """Return how much of its limit a log-determinant uses, for each scale."""
        return self._bits.limits_used()

    @cached_property
    def _bits(self) -> BitsByPart:
        images, given = self._first(INSPECTED)
        rows = np.arange(len(images), dtype=np.uint32)
        log_dets, latents = self.apply(
            self.experiment.parts, self.variables, rows, images, *given
        )
        shape, levels = images.shape[1:], self.experiment.levels
        return BitsByPart(shape, levels, log_dets, latents, self._scales())

    def _by_class(self) -> "Figure":
        """Draw samples of each class, with the same latents in a column."""
        context = self.experiment.context
        assert context is not None  # as it has classes
        names = context.classes[:CLASSES]
        numbers = np.tile(np.arange(OF_CLASS), len(names))
        given = self._classes(np.repeat(np.arange(len(names)), OF_CLASS))
        drawn = self._sample(numbers, OF_CLASSES, given)
        drawn = drawn.reshape(len(names), OF_CLASS, *drawn.shape[1:])
        rows = dict(zip(names, drawn, strict=True))
        title = f"samples of each class at temperature {OF_CLASSES:g}"
        return plots.image_rows(rows, self.top, title)

    def _reconstructions(self) -> "Figure":
        """Draw images of all latents, and of those of the coarsest scales alone."""
        images, given = self._first(ROW)
        latents, scales = self._encode(images, *given), self._scales()
        drawn = np.random.default_rng(0).normal(size=latents.shape)
        rows = {"test images": images, "of all latents": self._decode(latents, *given)}
        last = int(scales.max())
        for least in range(2, last + 1):
            kept = scales >= least
            which = f"scale {last}" if least == last else f"scales {least}-{last}"
            for words, others in (
                ("the mean of", 0 * drawn),
                ("draws of", OF_CLASSES * drawn),
            ):
                mixed = np.where(kept, latents, others).astype(np.float32)
                rows[f"of {which}, {words} the rest"] = self._decode(mixed, *given)
        title = "test images and reconstructions"
        return plots.image_rows(rows, self.top, title)

    def _nearest(self) -> "Figure":
        """Draw samples above their nearest training images: are they memorized?"""
        train = _rows(self.experiment.images.train)
        samples = np.nan_to_num(self.samples(1.0))
        far, places = top_k(_rows(samples), train, 1, "euclidean")
        test = self.images[: len(samples)]
        of_test, _ = top_k(_rows(test), train, 1, "euclidean")
        far, of_test = (np.sqrt(-d[:, 0]) / self.top for d in (far, of_test))
        shown = min(ROW, len(samples))
        nearest = self.experiment.images.train[places[:shown, 0]]
        rows = {"samples": samples[:shown], "nearest\ntraining images": nearest}
        captions = {"nearest\ntraining images": [f"{d:.1f}" for d in far[:shown]]}
        title = (
            f"distances to training images: samples {np.median(far):.1f}, test images "
            f"{np.median(of_test):.1f} (medians)"
        )
        return plots.image_rows(rows, self.top, title, captions)

    def _lines(self) -> np.ndarray:
        """Return images `[LINES · pairs, H, W, C]` on the lines between latents."""
        pairs = min(LINES, len(self.images) // 2)
        images, given = self._first(2 * pairs)
        latents = self._encode(images, *given)
        shares = np.linspace(0, 1, LINES, dtype=np.float32)

        def line(ends):
            points = between(shares, ends[:pairs], ends[pairs:])
            return np.swapaxes(points, 0, 1).reshape(-1, *ends.shape[1:])

        return self._decode(*map(line, (latents, *given)))

    def _first(self, count: int):
        """Return the first images of the part, and their classes, if any."""
        given = self.experiment.given(self._part)
        return self.images[:count], [rows[:count] for rows in given]

    def _classes(self, numbers) -> list[np.ndarray]:
        """Return the flow's argument for classes in rotation, if it has any."""
        context = self.experiment.context
        return [] if context is None else [context.encode(numbers % context.size)]

    def _scales(self) -> np.ndarray:
        return latent_scales(self.experiment.flow)

    def _encode(self, images, *given) -> np.ndarray:
        return self.apply(self.programs.encode, self.variables, images, *given)

    def _decode(self, latents, *given) -> np.ndarray:
        return self.apply(self.programs.decode, self.variables, latents, *given)

    def _sample(self, numbers, temperature, given) -> np.ndarray:
        temperatures = np.full(len(numbers), temperature, np.float32)
        rows = numbers.astype(np.uint32), temperatures, *given
        return self.apply(self.experiment.sample, self.variables, *rows)


def _rows(images) -> np.ndarray:
    return np.asarray(images, np.float32).reshape(len(images), -1)
