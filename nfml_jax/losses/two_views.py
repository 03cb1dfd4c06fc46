"""Losses of two views of each example, whose coordinates are to be alike and unalike.

Barlow Twins (Zbontar et al. 2021) and VICReg (Bardes et al. 2022). They take no
negatives: what keeps the embeddings from falling together are statistics of the batch.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.losses.inputs import check_batch
from nfml_jax.losses.output import LossOutput, output
from nfml_jax.losses.watched import watched
from nfml_jax.ops import devices
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.distances import largest, power_of_two
from nfml_jax.ops.masked import masked_mean


def two_views(
    first: jax.Array, second: jax.Array, axis_name: str | None = None
) -> tuple[jax.Array, jax.Array]:
    """Two views [N, ...] of the same N examples as rows [2N, ...] with labels [2N].

    A label is its pair's number in the batch of all devices: the labels for losses that
    need two views.
    """
    pair = devices.places(len(first), axis_name)
    return jnp.concatenate([first, second]), jnp.concatenate([pair, pair])


def pair_up(labels: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows first [B // 2] and second [B // 2] of labels [B], and where they are pairs.

    Of each label's rows, in their order, the first goes with the second, the third with
    the fourth and so on; one that is left over and negative labels have no partner.
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
    """What these losses share: rows of the same label are views of the same thing.

    So any batch with two rows of a label will do, whatever their order (`pair_up`), and
    `two_views` makes one of two arrays. Statistics are those of the whole batch, with
    `axis_name` of all devices. Without a pair there is no loss.
    """

    axis_name: str | None = None
    paper: ClassVar[str]
    needs: ClassVar[str] = "two views"

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings [B, D] with integer labels [B].

        Logged are the loss's terms before their weights; `paired`, the share of rows
        that have a partner; and of this device's rows what is `watched`.
        """
        embeddings, labels = check_batch(embeddings, labels)
        seen = watched(embeddings, labels >= 0)
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
        """The terms of the loss by name, of views [N, D] where paired [N] is 1."""
        raise NotImplementedError

    def weights(self) -> dict[str, Any]:
        """What each term counts."""
        raise NotImplementedError

    def formula(self) -> str:
        """The batch's loss as a person writes it, with its numbers in it."""
        raise NotImplementedError


class BarlowTwins(TwoViews):
    """Σ_i (1 - C_ii)² + λ Σ_{i≠j} C_ij², C the correlations of the views' coordinates.

    Zbontar et al. 2021 (2103.03230), eqs. 1 and 2. As in their code, a variance has
    1e-5 added to it.
    """

    off_diagonal: Any = 0.005
    paper: ClassVar[str] = "Zbontar et al. 2021"

    def __post_init__(self):
        check_number(self, 0.0, off_diagonal=self.off_diagonal)
        super().__post_init__()

    def terms(self, first, second, paired):
        (first, _), (second, count) = _centred(first, paired), _centred(second, paired)
        correlations = _products(
            _standardised(first, count), _standardised(second, count)
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

    As in their code, to which the weights belong, the invariance is a mean over
    coordinates too, where eq. 5 sums over them, and the variance is a mean over the two
    views, where eq. 6 sums.
    """

    invariance: Any = 25.0
    variance: Any = 25.0
    covariance: Any = 1.0
    paper: ClassVar[str] = "Bardes et al. 2022"

    def __post_init__(self):
        check_number(self, 0.0, **self.weights())
        super().__post_init__()

    def terms(self, first, second, paired):
        size = first.shape[-1]
        apart = jnp.mean((first - second) ** 2, axis=-1)
        hinge = covariance = 0.0
        for view in (first, second):
            centred, count = _centred(view, paired)
            covariances = _products(centred, centred) / jnp.maximum(count - 1.0, 1.0)
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


def _centred(view, paired):
    """A view [N, D] less its mean, 0 where there is no pair; and the pairs' number."""
    count = jnp.maximum(jnp.sum(paired), 1.0)
    mean = jnp.sum(paired[:, None] * view, axis=0) / count
    return (view - mean) * paired[:, None], count


def _standardised(centred, count):
    # Only large values are divided first: 1e-5 is no share of their size.
    scale = jnp.maximum(power_of_two(largest(centred, axis=0)), 1.0)
    centred = centred / scale
    square = jnp.sum(centred**2, axis=0) / count
    return centred * jax.lax.rsqrt(square + 1e-5 / scale**2)


def _products(a, b):
    return jnp.matmul(a.T, b, precision=jax.lax.Precision.HIGHEST)


def _off_diagonal(square):
    """The sum of a matrix's squared entries off its diagonal."""
    return jnp.sum(jnp.where(jnp.eye(len(square), dtype=bool), 0.0, square) ** 2)
