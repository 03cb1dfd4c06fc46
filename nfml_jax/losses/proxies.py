"""Proxy objectives: learned points stand for the classes, and data is compared to them.

Proxy-NCA (Movshovitz-Attias et al. 2017), ProxyNCA++ (Teh et al. 2020) and Proxy-Anchor
(Kim et al. 2020). Nothing is mined, and a batch needs no two examples of a class.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.losses.inputs import check_batch
from nfml_jax.losses.metrics import cosine
from nfml_jax.losses.output import LossOutput, output
from nfml_jax.losses.watched import watched
from nfml_jax.ops import devices
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.embeddings import at_least_float32, embedding_rows
from nfml_jax.ops.masked import masked_logsumexp, masked_mean


class ProxyObjective(nn.Module):
    """What proxy objectives share: parameters `proxies` [C, D], met by cosine.

    A kind says how its logits [B, C] come from embeddings and proxies (`compare`), and
    what it loses by them (`lost`). With `axis_name` the loss is that of all devices'
    examples. A negative label is padding and takes no part. A label of `num_classes`
    or more is refused; under jit, where it can't be seen, it takes no part either.
    """

    num_classes: int
    axis_name: str | None = None
    paper: ClassVar[str]
    needs: ClassVar[str] = "labels of known classes"

    def __post_init__(self):
        check_integer(self, 2, num_classes=self.num_classes)
        super().__post_init__()

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings [B, D] with integer labels [B].

        Logged are `accuracy`, by the largest logit; `positive_logit` and
        `negative_logit`, the means for the own and for other classes; `proxy_norm`; and
        what is `watched`. They are of this device's examples.
        """
        embeddings, labels = check_batch(embeddings, labels, self.num_classes)
        proxies = self._proxies(embeddings.shape[-1])
        logits = self.compare(embeddings, proxies)
        own = labels[:, None] == jnp.arange(self.num_classes)
        known = jnp.any(own, axis=-1)
        loss = self.lost(logits, own) + self.penalty(proxies)
        correct = jnp.argmax(logits, axis=-1) == labels
        logged = {
            "accuracy": masked_mean(correct.astype(logits.dtype), known),
            "positive_logit": masked_mean(masked_mean(logits, own), known),
            "negative_logit": masked_mean(masked_mean(logits, ~own), known),
            "proxy_norm": jnp.mean(direction_and_norm(proxies)[1]),
            **watched(embeddings, known),
        }
        return output(loss, logged)

    @broadcasting
    def logits(self, embeddings: jax.Array) -> jax.Array:
        """Return scores [B, C] of embeddings [B, D], for prediction."""
        embeddings = at_least_float32(embedding_rows(embeddings))
        return self.compare(embeddings, self._proxies(embeddings.shape[-1]))

    def proxy_shape(self, embedding_size: int) -> tuple[int, ...]:
        """[C, D], or with more axes between them."""
        return self.num_classes, embedding_size

    def compare(self, embeddings: jax.Array, proxies: jax.Array) -> jax.Array:
        """Logits [B, C] of embeddings [B, D] and proxies."""
        raise NotImplementedError

    def lost(self, logits: jax.Array, own: jax.Array) -> jax.Array:
        """This device's share of the loss [] by logits [B, C].

        own [B, C] is true for each example's class, nowhere in a row of padding.
        """
        raise NotImplementedError

    def penalty(self, proxies: jax.Array) -> jax.Array | float:
        """What the proxies lose by themselves."""
        return 0.0

    def formula(self) -> str:
        """An example's loss as a person writes it, with its numbers in it."""
        raise NotImplementedError

    @nn.compact
    def _proxies(self, embedding_size):
        init = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        shape = self.proxy_shape(embedding_size)
        return jnp.asarray(self.param("proxies", init, shape, jnp.float32))

    def _mean_not_of_own(self, logits, own, among):
        """The mean of -log(exp(own logit) / Σ exp(logits)), summed among [B, C]."""
        target = jnp.sum(jnp.where(own, logits, 0.0), axis=-1)
        known = jnp.any(own, axis=-1).astype(logits.dtype)
        lost = masked_logsumexp(logits, among) - target
        return devices.weighted_mean(lost, known, self.axis_name)


class ProxyNCA(ProxyObjective):
    """-log(exp(-d_y / T) / Σ_{j≠y} exp(-d_j / T)), d squared distances of directions.

    Movshovitz-Attias et al. 2017 (1703.07464), where T is 1. The own class is not in
    the denominator, so that the loss can be negative.
    """

    temperature: Any = 1.0
    paper: ClassVar[str] = "Movshovitz-Attias et al. 2017"

    def __post_init__(self):
        check_number(self, 1e-6, temperature=self.temperature)
        super().__post_init__()

    def compare(self, embeddings, proxies):
        # -‖x - p‖² but for its constant, which no softmax notices.
        return 2.0 * cosine(embeddings, proxies) / self.temperature

    def lost(self, logits, own):
        return self._mean_not_of_own(logits, own, among=~own)

    def formula(self):
        return (
            f"d_y + log Σ_{{j≠y}} exp(-d_j), d = {1.0 / self.temperature:.3g}·‖x̂ - p̂‖²"
        )


class ProxyNCAPlusPlus(ProxyNCA):
    """-log of the softmax of -d / T: the own class is in the denominator, and T low.

    Teh et al. 2020 (2004.01113): their loss, "proxy assignment probability" with
    temperature 1/9, without their changes to network and learning rates.
    """

    temperature: Any = 1.0 / 9.0
    paper: ClassVar[str] = "Teh et al. 2020"

    def lost(self, logits, own):
        return self._mean_not_of_own(logits, own, among=jnp.ones_like(own))

    def formula(self):
        return f"d_y + log Σ_j exp(-d_j), d = {1.0 / self.temperature:.3g}·‖x̂ - p̂‖²"


class ProxyAnchor(ProxyObjective):
    """Proxies are the anchors, and the examples of the batch their pairs.

    log(1 + Σ exp(-α(s - δ))) over a proxy's own examples, averaged over the proxies
    that have any, and log(1 + Σ exp(α(s + δ))) over the others' examples, averaged
    over all proxies: Kim et al. 2020 (2003.13911), eq. 4.
    """

    margin: Any = 0.1
    scale: Any = 32.0
    paper: ClassVar[str] = "Kim et al. 2020"

    def __post_init__(self):
        check_number(self, 0.0, margin=self.margin)
        check_number(self, 1e-6, scale=self.scale)
        super().__post_init__()

    def compare(self, embeddings, proxies):
        return self.scale * cosine(embeddings, proxies)

    def lost(self, logits, own):
        logits = devices.gather(logits, self.axis_name).T
        own = devices.gather(own, self.axis_name).T
        others = ~own & jnp.any(own, axis=0)
        slack = self.scale * self.margin
        pull = masked_logsumexp(slack - logits, own, zeros=1)
        push = masked_logsumexp(slack + logits, others, zeros=1)
        return masked_mean(pull, jnp.any(own, axis=-1)) + jnp.mean(push)

    def formula(self):
        a, m = f"{self.scale:g}", f"{self.margin:g}"
        return (
            f"mean_{{p₊}} log(1 + Σ_{{x₊}} exp(-{a}(s - {m}))) + "
            f"mean_p log(1 + Σ_{{x₋}} exp({a}(s + {m})))"
        )
