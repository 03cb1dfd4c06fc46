"""Proxy objectives: embeddings are compared to a learned point of each class.

Proxy-NCA (Movshovitz-Attias et al. 2017), ProxyNCA++ (Teh et al. 2020) and Proxy-Anchor
(Kim et al. 2020). There are no pairs to mine, and a batch needs no two examples of a
class.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.losses.metrics import cosine
from nfml_jax.losses.objective import LossOutput, check_batch, monitored, output
from nfml_jax.ops import devices
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.embeddings import embedding_rows
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_logsumexp, masked_mean
from nfml_jax.ops.precision import at_least_float32


class ProxyObjective(nn.Module):
    """The base class of proxy objectives, with parameters `proxies` `[C, D]`.

    A subclass computes logits `[B, C]` from embeddings and proxies (`compare`), and a
    loss from the logits (`lost`). With `axis_name` the loss is that of all devices'
    examples. A negative label is padding. A label of `num_classes` or more raises an
    error; under jit, where its value is unknown, it counts as padding.
    """

    num_classes: int
    axis_name: str | None = None
    paper: ClassVar[str]
    use: ClassVar[str] = ""
    needs: ClassVar[str] = "labels of known classes"

    def __post_init__(self):
        check_integer(self, 2, num_classes=self.num_classes)
        super().__post_init__()

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings `[B, D]` with integer labels `[B]`.

        It logs `accuracy` by the largest logit, `positive_logit` and `negative_logit`
        (the means for the target and for other classes), `proxy_norm`, and `monitored`
        of this device's examples.
        """
        embeddings, labels = check_batch(embeddings, labels, self.num_classes)
        proxies = self._proxies(embeddings.shape[-1])
        logits = self.compare(embeddings, proxies)
        target = labels[:, None] == jnp.arange(self.num_classes)
        known = jnp.any(target, axis=-1)
        loss = self.lost(logits, target) + self.penalty(proxies)
        correct = jnp.argmax(logits, axis=-1) == labels
        logged = {
            "accuracy": masked_mean(correct.astype(logits.dtype), known),
            "positive_logit": masked_mean(masked_mean(logits, target), known),
            "negative_logit": masked_mean(masked_mean(logits, ~target), known),
            "proxy_norm": jnp.mean(direction_and_norm(proxies)[1]),
            **monitored(embeddings, known),
        }
        return output(loss, logged)

    @broadcasting
    def logits(self, embeddings: jax.Array) -> jax.Array:
        """Return scores `[B, C]` of embeddings `[B, D]`, for prediction."""
        embeddings = at_least_float32(embedding_rows(embeddings))
        return self.compare(embeddings, self._proxies(embeddings.shape[-1]))

    def proxy_shape(self, embedding_size: int) -> tuple[int, ...]:
        """Return the shape `[C, ..., D]` of the proxies."""
        return self.num_classes, embedding_size

    def compare(self, embeddings: jax.Array, proxies: jax.Array) -> jax.Array:
        """Return logits `[B, C]` of embeddings `[B, D]` and proxies."""
        raise NotImplementedError

    def lost(self, logits: jax.Array, target: jax.Array) -> jax.Array:
        """Return this device's share of the loss `[]`, from logits `[B, C]`.

        `target` `[B, C]` is true for each example's class, and false in padding rows.
        """
        raise NotImplementedError

    def penalty(self, proxies: jax.Array) -> jax.Array | float:
        """Return a term of the loss that depends on the proxies alone."""
        return 0.0

    def formula(self) -> str:
        """Return the formula of an example's loss, with this loss's numbers in it."""
        raise NotImplementedError

    @nn.compact
    def _proxies(self, embedding_size):
        init = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        shape = self.proxy_shape(embedding_size)
        return jnp.asarray(self.param("proxies", init, shape, jnp.float32))

    def _cross_entropy(self, logits, target, among):
        """Return the mean of -log(exp(target's logit) / Σ exp(logits among [B, C]))."""
        of_target = jnp.sum(jnp.where(target, logits, 0.0), axis=-1)
        known = jnp.any(target, axis=-1).astype(logits.dtype)
        lost = masked_logsumexp(logits, among) - of_target
        return devices.weighted_mean(lost, known, self.axis_name)


class ProxyNCA(ProxyObjective):
    """-log(exp(-d_y / T) / Σ_{j≠y} exp(-d_j / T)), d squared distances of directions.

    Movshovitz-Attias et al. 2017 (1703.07464), where T is 1. The target class is not in
    the denominator, so that the loss can be negative.

    >>> objective = ProxyNCA(num_classes=2)
    >>> x, labels = jnp.array([[1.0, 0.0], [0.6, 0.8]]), jnp.array([0, 1])
    >>> variables = {"params": {"proxies": jnp.eye(2)}}
    >>> round(float(jax.jit(objective.apply)(variables, x, labels).loss), 3)
    -1.2
    """

    temperature: Any = traced(1.0)
    paper: ClassVar[str] = "Movshovitz-Attias et al. 2017"
    use: ClassVar[str] = (
        "few images of each class in a batch: it needs no pairs, and converges fast"
    )

    def __post_init__(self):
        check_number(self, 1e-6, temperature=self.temperature)
        super().__post_init__()

    def compare(self, embeddings, proxies):
        # -‖x - p‖² without its constant, which cancels in the softmax.
        return 2.0 * cosine(embeddings, proxies) / self.temperature

    def lost(self, logits, target):
        return self._cross_entropy(logits, target, among=~target)

    def formula(self):
        return (
            f"d_y + log Σ_{{j≠y}} exp(-d_j), d = {1.0 / self.temperature:.3g}·‖x̂ - p̂‖²"
        )


class ProxyNCAPlusPlus(ProxyNCA):
    """-log of the softmax of -d / T, with the target in the denominator and a low T.

    Teh et al. 2020 (2004.01113): their loss, "proxy assignment probability" with
    temperature 1/9, without their changes to network and learning rates.

    >>> objective = ProxyNCAPlusPlus(num_classes=2)
    >>> x, labels = jnp.array([[1.0, 0.0], [0.6, 0.8]]), jnp.array([0, 1])
    >>> variables = {"params": {"proxies": jnp.eye(2)}}
    >>> round(float(jax.jit(objective.apply)(variables, x, labels).loss), 3)
    0.013
    """

    temperature: Any = traced(1.0 / 9.0)
    paper: ClassVar[str] = "Teh et al. 2020"
    use: ClassVar[str] = (
        "as `proxy_nca`, with a low temperature that separates more sharply"
    )

    def lost(self, logits, target):
        return self._cross_entropy(logits, target, among=jnp.ones_like(target))

    def formula(self):
        return f"d_y + log Σ_j exp(-d_j), d = {1.0 / self.temperature:.3g}·‖x̂ - p̂‖²"


class ProxyAnchor(ProxyObjective):
    """A loss of pairs with the proxies as anchors, and the batch's examples as pairs.

    It is log(1 + Σ exp(-α(s - δ))) over the examples of a proxy's class, averaged over
    the proxies with examples, plus log(1 + Σ exp(α(s + δ))) over the other examples,
    averaged over all proxies: Kim et al. 2020 (2003.13911), eq. 4.

    >>> objective = ProxyAnchor(num_classes=2, scale=4.0)
    >>> x, labels = jnp.array([[1.0, 0.0], [0.6, 0.8]]), jnp.array([0, 1])
    >>> variables = {"params": {"proxies": jnp.eye(2)}}
    >>> round(float(jax.jit(objective.apply)(variables, x, labels).loss), 3)
    1.929
    """

    margin: Any = traced(0.1)
    scale: Any = traced(32.0)
    paper: ClassVar[str] = "Kim et al. 2020"
    use: ClassVar[str] = (
        "the speed of proxies with the relations between the examples of a batch"
    )

    def __post_init__(self):
        check_number(self, 0.0, margin=self.margin)
        check_number(self, 1e-6, scale=self.scale)
        super().__post_init__()

    def compare(self, embeddings, proxies):
        return self.scale * cosine(embeddings, proxies)

    def lost(self, logits, target):
        logits = devices.gather(logits, self.axis_name).T
        target = devices.gather(target, self.axis_name).T
        others = ~target & jnp.any(target, axis=0)
        slack = self.scale * self.margin
        pull = masked_logsumexp(slack - logits, target, zeros=1)
        push = masked_logsumexp(slack + logits, others, zeros=1)
        return masked_mean(pull, jnp.any(target, axis=-1)) + jnp.mean(push)

    def formula(self):
        a, m = f"{self.scale:g}", f"{self.margin:g}"
        return (
            f"mean_{{p₊}} log(1 + Σ_{{x₊}} exp(-{a}(s - {m}))) + "
            f"mean_p log(1 + Σ_{{x₋}} exp({a}(s + {m})))"
        )
