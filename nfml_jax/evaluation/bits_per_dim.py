"""Bits per dimension: a ledger of all terms of a likelihood of pixels.

log P(x) in nats is the sum of the terms of a density of real numbers, such as the
base's, the log-determinants and -log q of noise, plus log(step) for each number, where
`step` is the width of a level in the units of that density:

    bits/dim = -(Σ terms + D log(step) - crops · log K) / (D log 2).

D is the number of pixel values in the data itself. Data in [0, 1) have the step 1/K
(an offset of +8 bits for 256 levels), data in [-1, 1) the step 2/K (+7), and
x / 127.5 - 1 the step 1/127.5 (+6.994).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import logsumexp

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_flag, check_integer, check_number, check_sizes

LOG_2 = math.log(2)
NAMED = 5
"""Images without a finite value that a description names."""

EXACT, BOUND, CODE = "exact", "bound", "code length"
ESTIMATE = "estimated bound"


@dataclass(frozen=True)
class BitsPerDim:
    """Bits per dimension of a set of images: the mean, its standard error and its kind.

    Attributes:
      mean: The mean over images; NaN if one image has NaN.
      standard_error: That of the mean over images; NaN where it cannot be had.
      kind: "exact", "bound" (an upper bound of the bits), "M-sample bound", "estimated
        bound" (an estimate without bias of a bound, whose error is in the standard
        error), or "code length" of a compressor.
      per_image: Bits per dimension `[N]`; empty for a code of the whole set.
      terms: The mean contribution of each term; they add up to the mean.
      facts: The entries of the ledger that the value depends on.

    >>> print(BitsPerDim(1.0784, 0.0026, "8-sample bound", np.zeros(0)))
    1.0784 ± 0.0026 bits/dim (8-sample bound)
    """

    mean: float
    standard_error: float
    kind: str
    per_image: np.ndarray
    terms: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, float | int | None] = field(default_factory=dict)

    @property
    def not_finite(self) -> np.ndarray:
        """The indices of the images whose value is not finite."""
        return np.flatnonzero(~np.isfinite(self.per_image))

    def metrics(self, part: str = "test") -> dict[str, float]:
        """Return `part/bits_per_dim` and `part/bits_per_dim_se`."""
        return {
            f"{part}/bits_per_dim": self.mean,
            f"{part}/bits_per_dim_se": self.standard_error,
        }

    def summary(self) -> dict:
        """Return an entry for `result.json`: all but the values of single images."""
        return {
            "bits_per_dim": self.mean,
            "bits_per_dim_se": self.standard_error,
            "kind": self.kind,
            "images": len(self.per_image),
            "not_finite": self.not_finite.tolist(),
            "terms": dict(self.terms),
            **self.facts,
        }

    def __str__(self) -> str:
        words = f"{self.mean:.4f}"
        if not math.isnan(self.standard_error):
            words += f" ± {self.standard_error:.4f}"
        words += f" bits/dim ({self.kind})"
        bad = self.not_finite
        if len(bad):
            listed = ", ".join(map(str, bad[:NAMED]))
            more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
            words += f"; not finite: image {listed}{more}"
        return words


class Ledger:
    """The sum of all terms of log P(x) for each image, and whether it is a bound.

    Terms are nats by name, `[N]` for each batch of images, or `[M, N]` with `samples`
    draws of noise; a term has the same name in each batch. Draws are averaged as
    log (1/M) Σ exp(w), w being the sum of all terms, which is a bound that is tighter
    the more there are (Burda et al. 2016).

    >>> ledger = Ledger((2, 2, 1), levels=4, step=1 / 4)
    >>> ledger.add(density=[0.0, math.log(16)])  # the uniform density on [0, 1)
    >>> print(ledger.result())
    1.5000 ± 0.5000 bits/dim (bound)
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        levels: int = 256,
        step: float = 1.0,
        samples: int = 1,
        exact: bool = False,
        padded: int = 0,
        cropped: int = 0,
        alpha: float | None = None,
        estimated: bool = False,
    ):
        """Begin a ledger.

        Args:
          event_shape: The shape of an image as it is in the data, whose numbers count.
          levels: The number K of values that a pixel can have.
          step: The width of a level in the units of the density. It is 1 where a term
            contains the division by K, as that of `Dequantize` does.
          samples: The number M of draws of noise for each image.
          exact: True for a probability of the levels that needs no noise.
          padded: Numbers beside those of `event_shape` that the model has. They don't
            count as dimensions. Their density, if not certain, is a term.
          cropped: Numbers of `event_shape` that the model lacks. They count, with
            log K nats each.
          alpha: That of the logit, as a note. Its log-determinant is a term.
          estimated: True if a term is an estimate without bias, such as that of a
            residual flow's log-determinant. The mean of exp of several is no bound.
        """
        check_sizes("Ledger", event_shape=event_shape, least=1)
        check_integer("Ledger", 2, levels=levels)
        check_integer("Ledger", 1, samples=samples)
        check_number("Ledger", above=0.0, step=step)
        check_flag("Ledger", exact=exact)
        self.dimensions = math.prod(event_shape)
        check_integer("Ledger", 0, padded=padded)
        check_integer("Ledger", 0, self.dimensions, cropped=cropped)
        check_number("Ledger", 0.0, below=0.5, optional=True, alpha=alpha)
        if exact and samples > 1:
            raise UserError(
                f"an exact ledger got samples={samples}; give 1, or exact=False."
            )
        check_flag("Ledger", estimated=estimated)
        if estimated and samples > 1:
            raise UserError(
                f"a ledger of estimated log-determinants got samples={samples}; their "
                "errors would count as a tighter bound, so give 1."
            )
        self.estimated = estimated
        self.levels, self.step, self.samples = levels, step, samples
        self.exact, self.padded, self.cropped = exact, padded, cropped
        self.alpha = alpha
        self._batches: list[dict[str, np.ndarray]] = []
        self._totals: list[np.ndarray] = []

    def add(self, **terms) -> None:
        """Add the terms of a batch of images, in nats."""
        batch = {name: self._checked(name, value) for name, value in terms.items()}
        if not batch:
            raise UserError("the ledger got no terms; give a density in nats.")
        known = self._batches[0].keys() if self._batches else batch.keys()
        if known != batch.keys():
            raise UserError(
                f"the ledger got the terms {', '.join(batch)} after "
                f"{', '.join(known)}; give the same ones for each batch."
            )
        images = {value.shape[1] for value in batch.values()}
        if len(images) > 1:
            raise UserError(
                f"the ledger got terms of {sorted(images)} images; give all terms of "
                "the same batch."
            )
        with np.errstate(invalid="ignore"):
            weights = sum(batch.values())
            assert isinstance(weights, np.ndarray)
            total = np.asarray(logsumexp(weights, axis=0)) - math.log(self.samples)
        # logsumexp gives minus infinity for NaN among infinities.
        total = np.where(np.isnan(weights).any(axis=0), np.nan, total)
        self._totals.append(total)
        self._batches.append(
            {name: value.mean(axis=0) for name, value in batch.items()}
        )

    def result(self) -> BitsPerDim:
        """Return the bits per dimension of all images added."""
        if not self._totals or not sum(map(len, self._totals)):
            raise UserError("the ledger has no images; add the terms of at least one.")
        scale = -1 / (self.dimensions * LOG_2)
        modeled = self.dimensions - self.cropped
        constants = {
            "levels": modeled * math.log(self.step) * scale,
            "crops": -self.cropped * math.log(self.levels) * scale,
        }
        constants = {name: value for name, value in constants.items() if value}
        bits = np.concatenate(self._totals) * scale + sum(constants.values())
        terms = {
            name: float(np.concatenate([b[name] for b in self._batches]).mean() * scale)
            for name in self._batches[0]
        }
        terms |= constants
        if self.samples > 1:
            terms["importance"] = float(bits.mean()) - sum(terms.values())
        facts = {
            "levels": self.levels,
            "dimensions": self.dimensions,
            "samples": self.samples,
            "padded": self.padded,
            "cropped": self.cropped,
            "alpha": self.alpha,
        }
        return BitsPerDim(*mean_and_error(bits), self.kind, bits, terms, facts)

    @property
    def kind(self) -> str:
        """The kind of the value: exact, or a bound by one or more samples."""
        if self.exact:
            return EXACT
        if self.estimated:
            return ESTIMATE
        return BOUND if self.samples == 1 else f"{self.samples}-sample bound"

    def _checked(self, name, value) -> np.ndarray:
        """Return a term `[M, N]` in float64."""
        value = np.asarray(value, np.float64)
        if value.ndim == 1 and self.samples == 1:
            value = value[None]
        if value.ndim != 2 or len(value) not in (1, self.samples):
            wanted = "[N]" if self.samples == 1 else f"[{self.samples}, N]"
            raise UserError(
                f"the term {name!r} has shape {list(value.shape)}; expected {wanted}, "
                "one number for each draw and image."
            )
        return np.broadcast_to(value, (self.samples, value.shape[1]))


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of `[N]` and its standard error, NaN where there is none.

    >>> mean_and_error(np.array([1.0, 3.0]))
    (2.0, 1.0)
    """
    with np.errstate(invalid="ignore"):
        mean = float(values.mean())
    if len(values) < 2 or not math.isfinite(mean):
        return mean, math.nan
    return mean, float(values.std(ddof=1) / math.sqrt(len(values)))


def logit_log_det(pixels, alpha: float, event_ndim: int = 3) -> np.ndarray:
    """Return log |det| `[*batch]` of the logit of α + (1 - 2α) y for pixels y.

    It is the map from data to latents, so the term is added to the density of logits.

    >>> logit_log_det([[0.5, 0.5]], alpha=0.0, event_ndim=1).round(3)  # 2 log 4
    array([2.773])
    """
    check_number("logit_log_det", 0.0, below=0.5, alpha=alpha)
    y = np.asarray(pixels, np.float64)
    scale = 1 - 2 * alpha
    with np.errstate(divide="ignore"):
        slope = -np.log(alpha + scale * y) - np.log(alpha + scale * (1 - y))
    return (slope + math.log(scale)).sum(axis=tuple(range(-event_ndim, 0)))
