"""Losses of two views of each example.

Barlow Twins (Zbontar et al. 2021) and VICReg (Bardes et al. 2022). They have no
negatives; statistics of the batch prevent a collapse of the embeddings.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.losses.objective import LossOutput, check_batch, monitored, output
from nfml_jax.ops import devices
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.distances import largest, power_of_two
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_mean


def two_views(
    first: jax.Array, second: jax.Array, axis_name: str | None = None
) -> tuple[jax.Array, jax.Array]:
    """Return two views `[N, ...]` of N examples as rows `[2N, ...]` with labels `[2N]`.

    A label is its pair's number in the batch of all devices, as losses of two views
    need it.

    >>> rows, labels = two_views(jnp.array([[1.0], [2.0]]), jnp.array([[1.1], [2.1]]))
    >>> rows.shape, labels.tolist()
    ((4, 1), [0, 1, 0, 1])
    """
    pair = devices.local_places(len(first), axis_name)
    return jnp.concatenate([first, second]), jnp.concatenate([pair, pair])


def pair_up(labels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the rows of labels `[B]` in pairs: two of `[B // 2]`, and a mask of pairs.

    The first row of a label is paired with the second, the third with the fourth, and
    so on. A last odd row and rows with negative labels have no partner.

    >>> first, second, paired = pair_up(jnp.array([7, 3, 7, -1]))
    >>> first[paired].tolist(), second[paired].tolist()
    ([0], [2])
    """
    count = len(labels)
    order = jnp.argsort(labels, stable=True)
    ordered = labels[order]
    number = jnp.arange(count) - jnp.searchsorted(ordered, ordered)
    leads = (number % 2 == 0) & (ordered == jnp.roll(ordered, -1)) & (ordered >= 0)
    leads = leads.at[-1].set(False)
    leaders = jnp.argsort(~leads, stable=True)[: count // 2]
    return order[leaders], order[leaders + 1], leads[leaders]


class TwoViews(nn.Module):
    """The base class of losses of two views, which are rows of the same label.

    `two_views` makes such a batch from two arrays. The order of rows is free (see
    `pair_up`). Statistics are those of the whole batch, with `axis_name` over all
    devices. The loss is 0 without a pair.
    """

    axis_name: str | None = None
    paper: ClassVar[str]
    use: ClassVar[str] = ""
    needs: ClassVar[str] = "two views"

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings `[B, D]` with integer labels `[B]`.

        It logs the loss's terms before their weights, `paired` (the share of rows that
        have a partner), and `monitored` of this device's rows.
        """
        embeddings, labels = check_batch(embeddings, labels)
        seen = monitored(embeddings, labels >= 0)
        embeddings = devices.gather(embeddings, self.axis_name)
        labels = devices.gather(labels, self.axis_name)
        first, second, paired = pair_up(labels)
        paired = paired.astype(embeddings.dtype)
        terms = self.terms(embeddings[first], embeddings[second], paired)
        some = jnp.any(paired > 0.0)
        loss = sum(weight * terms[name] for name, weight in self.weights().items())
        logged = {**terms, "paired": 2.0 * jnp.sum(paired) / len(labels), **seen}
        return output(jnp.where(some, loss, 0.0), logged)

    def terms(
        self, first: jax.Array, second: jax.Array, paired: jax.Array
    ) -> dict[str, jax.Array]:
        """Return the terms of the loss by name, of views `[N, D]` with a mask `[N]`."""
        raise NotImplementedError

    def weights(self) -> dict[str, Any]:
        """Return the weight of each term."""
        raise NotImplementedError

    def formula(self) -> str:
        """Return the formula of the batch's loss, with this loss's numbers in it."""
        raise NotImplementedError


class BarlowTwins(TwoViews):
    """Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij², C the correlations of the views' coordinates.

    Zbontar et al. 2021 (2103.03230), eqs. 1 and 2. As in their code, 1e-5 is added to
    variances.

    >>> views = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.9, 0.2], [0.1, 1.0]])
    >>> round(float(jax.jit(BarlowTwins().apply)({}, *two_views(*views)).loss), 3)
    0.01
    """

    off_diagonal: Any = traced(0.005)
    paper: ClassVar[str] = "Zbontar et al. 2021"
    use: ClassVar[str] = (
        "no labels and moderate batches: coordinates are decorrelated, and negatives "
        "aren't needed"
    )

    def __post_init__(self):
        check_number(self, 0.0, off_diagonal=self.off_diagonal)
        super().__post_init__()

    def terms(self, first, second, paired):
        (first, _), (second, count) = (
            _centered(first, paired),
            _centered(second, paired),
        )
        correlations = _products(
            _standardized(first, count), _standardized(second, count)
        )
        correlations = correlations / count
        return {
            "on_diagonal": jnp.sum((1.0 - jnp.diagonal(correlations)) ** 2),
            "off_diagonal": _off_diagonal(correlations),
        }

    def weights(self):
        return {"on_diagonal": 1.0, "off_diagonal": self.off_diagonal}

    def formula(self):
        return f"Σ_i (1 - C_ii)² + {self.off_diagonal:g} Σ_{{i≠j}} C_ij²"


class VICReg(TwoViews):
    """Variance, invariance and covariance: Bardes et al. 2022 (2105.04906), eq. 6.

    As in their code, for which the weights are meant, the invariance is a mean over
    coordinates, where eq. 5 sums over them, and the variance is a mean over the two
    views, where eq. 6 sums.

    >>> views = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.9, 0.2], [0.1, 1.0]])
    >>> round(float(jax.jit(VICReg().apply)({}, *two_views(*views)).loss), 3)
    9.816
    """

    invariance: Any = traced(25.0)
    variance: Any = traced(25.0)
    covariance: Any = traced(1.0)
    paper: ClassVar[str] = "Bardes et al. 2022"
    use: ClassVar[str] = (
        "no labels, as `barlow_twins`, with invariance, variance and covariance "
        "weighted apart"
    )

    def __post_init__(self):
        check_number(self, 0.0, **self.weights())
        super().__post_init__()

    def terms(self, first, second, paired):
        size = first.shape[-1]
        apart = jnp.mean((first - second) ** 2, axis=-1)
        hinge = covariance = 0.0
        for view in (first, second):
            centered, count = _centered(view, paired)
            covariances = _products(centered, centered) / jnp.maximum(count - 1.0, 1.0)
            deviations = jnp.sqrt(jnp.diagonal(covariances) + 1e-4)
            hinge += jnp.mean(jax.nn.relu(1.0 - deviations)) / 2.0
            covariance += _off_diagonal(covariances) / size
        return {
            "invariance": masked_mean(apart, paired > 0.0),
            "variance": hinge,
            "covariance": covariance,
        }

    def weights(self):
        return {
            "invariance": self.invariance,
            "variance": self.variance,
            "covariance": self.covariance,
        }

    def formula(self):
        i, v, c = (f"{weight:g}" for weight in self.weights().values())
        return (
            f"{i}·mean (z - z')² + {v}·mean [1 - √(V_ii + 0.0001)]₊ + "
            f"{c}/D·Σ_{{i≠j}} V_ij²"
        )


def _centered(view, paired):
    """Return a view `[N, D]` less its mean, 0 in unpaired rows, and the pair count."""
    count = jnp.maximum(jnp.sum(paired), 1.0)
    mean = jnp.sum(paired[:, None] * view, axis=0) / count
    return (view - mean) * paired[:, None], count


def _standardized(centered, count):
    """Return centered coordinates divided by their standard deviations."""
    # Only large values are scaled first, because 1e-5 is an absolute number.
    scale = jnp.maximum(power_of_two(largest(centered, axis=0)), 1.0)
    centered = centered / scale
    square = jnp.sum(centered**2, axis=0) / count
    return centered * jax.lax.rsqrt(square + 1e-5 / scale**2)


def _products(a, b):
    return jnp.matmul(a.T, b, precision=jax.lax.Precision.HIGHEST)


def _off_diagonal(square):
    """Return the sum of a matrix's squared entries off its diagonal."""
    return jnp.sum(jnp.where(jnp.eye(len(square), dtype=bool), 0.0, square) ** 2)
