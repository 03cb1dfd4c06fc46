"""Families of densities of the plane, each with a sampler and an exact log-density."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from scipy.special import i0e

from nfml_jax.errors import UserError

BLOCK = 4096
"""Points whose density is computed at a time."""


class Density:
    """A density over points `[N, 2]`."""

    def sample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Return independent draws, float32 `[n, 2]`."""
        return self._draw(rng, n).astype(np.float32)

    def log_prob(self, x) -> np.ndarray:
        """Return log p(x) in nats, float64 `[N]` for `x [N, 2]`; -inf off support."""
        x = np.asarray(x, np.float64)
        if x.ndim != 2 or x.shape[1] != 2:
            raise UserError(f"points have shape {x.shape}; expected [points, 2].")
        blocks = range(0, len(x), BLOCK)
        parts = [self._log_prob(x[start : start + BLOCK]) for start in blocks]
        return np.concatenate([np.zeros(0), *parts])

    def _draw(self, rng, n):
        raise NotImplementedError

    def _log_prob(self, x):
        raise NotImplementedError


@dataclass(frozen=True)
class Rings(Density):
    """Circles around the origin, equally likely, blurred by normal noise."""

    radii: tuple[float, ...]
    noise: float

    def _draw(self, rng, n):
        radius = rng.choice(self.radii, (n, 1))
        angle = rng.uniform(0, 2 * np.pi, n)
        points = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return points + self.noise * rng.standard_normal((n, 2))

    def _log_prob(self, x):
        # The mean of the normal density over a circle is a Bessel function; i0e is
        # scaled so as not to overflow.
        norm = np.hypot(*x.T)[:, None]
        radii = np.array(self.radii)
        exponent = -((norm - radii) ** 2) / (2 * self.noise**2)
        terms = exponent + np.log(i0e(norm * radii / self.noise**2))
        return _log_mean_exp(terms) - np.log(2 * np.pi * self.noise**2)


@dataclass(frozen=True)
class Gaussians(Density):
    """Equally likely round normal densities around `centers [K, 2]`."""

    centers: tuple[tuple[float, float], ...]
    noise: float

    def _draw(self, rng, n):
        centers = rng.choice(np.array(self.centers), n)
        return centers + self.noise * rng.standard_normal((n, 2))

    def _log_prob(self, x):
        weights = np.full(len(self.centers), 1 / len(self.centers))
        return _log_mixture(x, np.array(self.centers), weights, self.noise)


@dataclass(frozen=True)
class Curves(Density):
    """Equally likely curves blurred by normal noise.

    `points(t)` gives the curves `[K, len(t), 2]` at parameters between `low` and
    `high`, whose density grows as t to the `power`. The density is an integral along
    the curve, by Gauss-Legendre quadrature to float64's precision.
    """

    points: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    noise: float
    power: int = 0

    def _draw(self, rng, n):
        p = self.power + 1
        t = rng.uniform(self.low**p, self.high**p, n) ** (1 / p)
        curves = self.points(t)
        points = curves[rng.integers(len(curves), size=n), np.arange(n)]
        return points + self.noise * rng.standard_normal((n, 2))

    def _log_prob(self, x):
        nodes, weights = _gauss_legendre(512)
        t = self.low + (self.high - self.low) * (nodes + 1) / 2
        weights = weights * t**self.power
        curves = self.points(t)
        weights = np.tile(weights, len(curves)) / (len(curves) * weights.sum())
        return _log_mixture(x, curves.reshape(-1, 2), weights, self.noise)


@dataclass(frozen=True)
class Pinwheel(Density):
    """Normal blades turned by an angle that grows with the exponential of the radius.

    After Johnson et al. (NeurIPS 2016), whose angle grows with the coordinate along the
    blade. With the radius the turn keeps volume and has an exact inverse.
    """

    blades: int = 5
    radial_noise: float = 0.3
    tangential_noise: float = 0.1
    rate: float = 0.25
    scale: float = 2.0

    def _draw(self, rng, n):
        noise = [self.radial_noise, self.tangential_noise]
        blade = rng.standard_normal((n, 2)) * noise + [1, 0]
        angle = rng.integers(self.blades, size=n) * 2 * np.pi / self.blades
        return self.scale * _turn(blade, angle + self._twist(blade))

    def _log_prob(self, x):
        x = x / self.scale
        x = _turn(x, -self._twist(x))
        angles = np.arange(self.blades) * 2 * np.pi / self.blades
        along, across = _turn(x[:, None], -angles).transpose(2, 0, 1)
        terms = ((along - 1) / self.radial_noise) ** 2
        terms = -(terms + (across / self.tangential_noise) ** 2) / 2
        volume = self.radial_noise * self.tangential_noise * self.scale**2
        return _log_mean_exp(terms) - np.log(2 * np.pi * volume)

    def _twist(self, x):
        # The bound keeps the exponential of far points finite.
        return self.rate * np.exp(np.minimum(np.hypot(*x.T), 30))


@dataclass(frozen=True)
class Banana(Density):
    """x₂ ~ N(0, 4), x₁ ~ N(x₂²/4, 1): Papamakarios et al., MAF (NeurIPS 2017), 3.1."""

    def _draw(self, rng, n):
        first, second = rng.standard_normal((2, n))
        return np.stack([first + second**2, 2 * second], axis=1)

    def _log_prob(self, x):
        first, second = x[:, 0] - x[:, 1] ** 2 / 4, x[:, 1] / 2
        return -(first**2 + second**2) / 2 - np.log(4 * np.pi)


@dataclass(frozen=True)
class Picture(Density):
    """A density proportional to the brightness of an image, uniform within each pixel.

    `image()` gives the brightness `[H, W]`, which is read when it is first needed. The
    longer side reaches from -4 to 4.
    """

    image: Callable[[], np.ndarray]
    half_width = 4.0

    @cached_property
    def _mass(self):
        """The probability of each pixel, the row of the lowest y first."""
        brightness = np.asarray(self.image(), np.float64)[::-1]
        if (
            brightness.ndim != 2
            or not (brightness.min(initial=0) >= 0)
            or (not 0 < brightness.sum() < np.inf)
        ):
            raise UserError(
                f"the image has shape {brightness.shape}; expected finite brightness "
                "[height, width], nowhere negative and somewhere above 0."
            )
        return brightness / brightness.sum()

    @property
    def _pixel(self):
        return 2 * self.half_width / max(self._mass.shape)

    @property
    def _corner(self):
        return -self._pixel * np.array(self._mass.shape[::-1]) / 2

    def _draw(self, rng, n):
        cumulative = np.cumsum(self._mass)
        chosen = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], "right")
        row, column = np.divmod(chosen, self._mass.shape[1])
        # The margin to a pixel's edges exceeds float32's rounding, both before and
        # after standardization.
        margin = 4 * self.half_width * np.finfo(np.float32).eps / self._pixel
        within = rng.uniform(margin, 1 - margin, (n, 2))
        return self._corner + self._pixel * (np.stack([column, row], 1) + within)

    def _log_prob(self, x):
        column, row = np.floor((x - self._corner) / self._pixel).T
        height, width = self._mass.shape
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = (np.where(inside, i, 0).astype(int) for i in (row, column))
        mass = np.where(inside, self._mass[row, column], 0)
        with np.errstate(divide="ignore"):
            return np.log(mass) - 2 * np.log(self._pixel)


def _log_mean_exp(terms):
    top = terms.max(axis=1)
    return top + np.log(np.exp(terms - top[:, None]).mean(axis=1))


def _log_mixture(x, centers, weights, noise):
    """Return the log-density of round normal densities with `weights [K]`.

    Their centers are `centers [K, 2]`.
    """
    squares = (x**2).sum(1)[:, None] - 2 * x @ centers.T + (centers**2).sum(1)
    nearest = squares.min(axis=1)
    total = np.exp((nearest[:, None] - squares) / (2 * noise**2)) @ weights
    return np.log(total) - nearest / (2 * noise**2) - np.log(2 * np.pi * noise**2)


_gauss_legendre = cache(np.polynomial.legendre.leggauss)


def _turn(x, angle):
    """Return points `[..., 2]` turned about the origin, anticlockwise."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * x[..., 0] - s * x[..., 1], s * x[..., 0] + c * x[..., 1]], -1)
