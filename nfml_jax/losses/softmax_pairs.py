"""Losses of an anchor's softmax over the rest of the batch.

NCA (Goldberger et al. 2004), supervised contrastive (Khosla et al. 2020), and NT-Xent
(Sohn 2016, Chen et al. 2020).
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops.checks import check_choice, check_number
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_logsumexp, masked_mean


@dataclasses.dataclass(frozen=True)
class NCA(PairLoss):
    """-log of the probability that an anchor's random neighbor is of its class.

    Neighborhood components analysis, Goldberger et al. 2004. Of their two objectives it
    is the sum of log p, whose gradient doesn't vanish where p does. Their T is 1, and
    the embeddings keep their length, which acts as a temperature.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(NCA(), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.348
    """

    temperature: Any = traced(1.0)
    metric: ClassVar[str] = "squared"
    normalize: ClassVar[bool] = False
    paper: ClassVar[str] = "Goldberger et al. 2004"
    use: ClassVar[str] = "classification by nearest neighbors, without a number to tune"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1e-6, temperature=self.temperature)

    def rows(self, values, positive, negative):
        logits = -self.distance(values) / self.temperature
        some = jnp.any(positive, axis=-1)
        everyone = masked_logsumexp(logits, positive | negative)
        lost = everyone - masked_logsumexp(logits, positive)
        return Row(jnp.where(some, lost, 0.0), some.astype(lost.dtype))

    def formula(self):
        return f"-log(Σ₊ e / Σ e), e = exp(-d²/{self.temperature:g})"


@dataclasses.dataclass(frozen=True)
class SupCon(PairLoss):
    """-log of the softmax of the positives, their mean outside or inside the log.

    Supervised contrastive, Khosla et al. 2020 (2004.11362): `mean` "out" is L_out, eq.
    2, which they found to be better, and "in" is L_in, eq. 3. With one positive for
    each anchor both are NT-Xent. Anchors without positives don't count.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(SupCon(temperature=0.5), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.348
    """

    temperature: Any = traced(0.1)
    mean: str = "out"
    paper: ClassVar[str] = "Khosla et al. 2020"
    use: ClassVar[str] = "labels and large batches; a strong first choice"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1e-6, temperature=self.temperature)
        check_choice(self, ("out", "in"), mean=self.mean)

    def rows(self, values, positive, negative):
        logits = values / self.temperature
        count = jnp.sum(positive, axis=-1)
        some = count > 0
        everyone = masked_logsumexp(logits, positive | negative)
        if self.mean == "out":
            pulled = masked_mean(logits, positive)
        else:
            pulled = masked_logsumexp(logits, positive)
            pulled = pulled - jnp.log(jnp.maximum(count, 1))
        return Row(jnp.where(some, everyone - pulled, 0.0), some.astype(logits.dtype))

    def formula(self):
        of = "mean₊ -log" if self.mean == "out" else "-log mean₊"
        return f"{of}(e₊ / Σ e), e = exp(s/{self.temperature:g})"


@dataclasses.dataclass(frozen=True)
class NTXent(PairLoss):
    """-log(exp(s₊/T) / (exp(s₊/T) + Σ₋ exp(s₋/T))), averaged over all positive pairs.

    NT-Xent, Chen et al. 2020 (2002.05709), eq. 1, of a batch of `two_views`. It is also
    known as InfoNCE, and as N-pairs with temperature. An anchor's further positives are
    not in the denominator.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(NTXent(temperature=0.5), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.348
    """

    temperature: Any = traced(0.1)
    paper: ClassVar[str] = "Chen et al. 2020"
    use: ClassVar[str] = "no labels: two views of each image are the only positives"
    needs: ClassVar[str] = "two views"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1e-6, temperature=self.temperature)

    def rows(self, values, positive, negative):
        logits = values / self.temperature
        against = masked_logsumexp(logits, negative)
        lost = jax.nn.softplus(against[:, None] - logits)
        weight = jnp.sum(positive, axis=-1).astype(logits.dtype)
        return Row(masked_mean(lost, positive), weight)

    def formula(self):
        return f"-log(e₊ / (e₊ + Σ e₋)), e = exp(s/{self.temperature:g})"
