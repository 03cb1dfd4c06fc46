"""SoftTriple: several centers of each class, and a penalty that merges needless ones.

Qian et al. 2019 (1909.05235).
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.proxies import ProxyObjective
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.fields import traced


class SoftTriple(ProxyObjective):
    """Cross entropy of λ(S_y - δ) among λS, with `proxies` [C, K, D].

    S is the mean of an example's cosines with the K centers of a class, weighted by
    their softmax *over those centers* with temperature γ. The penalty is τ/2 times the
    mean distance between centers of a class: τ Σ_{s<t} ‖ŵ_s - ŵ_t‖ / (C K (K - 1)).

    >>> objective = SoftTriple(num_classes=2, centers=1, scale=2.0)
    >>> x, labels = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 1])
    >>> variables = {"params": {"proxies": jnp.eye(2)[:, None]}}
    >>> round(float(jax.jit(objective.apply)(variables, x, labels).loss), 3)
    0.129
    """

    centers: int = 10
    margin: Any = traced(0.01)
    scale: Any = traced(20.0)
    gamma: Any = traced(0.1)
    tau: Any = traced(0.2)
    paper: ClassVar[str] = "Qian et al. 2019"
    use: ClassVar[str] = "classes with several clusters: each has several proxies"

    def __post_init__(self):
        check_integer(self, 1, centers=self.centers)
        check_number(self, 0.0, margin=self.margin, tau=self.tau)
        check_number(self, 1e-6, scale=self.scale, gamma=self.gamma)
        super().__post_init__()

    def proxy_shape(self, embedding_size):
        return self.num_classes, self.centers, embedding_size

    def compare(self, embeddings, proxies):
        x, w = direction_and_norm(embeddings)[0], direction_and_norm(proxies)[0]
        cosines = jnp.einsum("bd,ckd->bck", x, w, precision=jax.lax.Precision.HIGHEST)
        shares = jax.nn.softmax(cosines / self.gamma, axis=-1)
        return self.scale * jnp.sum(shares * cosines, axis=-1)

    def lost(self, logits, target):
        logits = jnp.where(target, logits - self.scale * self.margin, logits)
        return self._cross_entropy(logits, target, among=jnp.ones_like(target))

    def penalty(self, proxies):
        if self.centers == 1:
            return 0.0
        w, _ = direction_and_norm(proxies)
        cosines = jnp.einsum("ckd,cld->ckl", w, w, precision=jax.lax.Precision.HIGHEST)
        squared = 2.0 - 2.0 * cosines[:, *jnp.triu_indices(self.centers, 1)]
        # Centers that are equal to within the precision have merged: no gradient.
        apart = squared > 8.0 * jnp.finfo(squared.dtype).eps
        distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)
        return self.tau / 2.0 * jnp.mean(distance)

    def formula(self):
        return (
            f"-log softmax({self.scale:g}(S - {self.margin:g}[j=y]))_y + "
            f"{self.tau / 2:g}·mean ‖ŵ_s - ŵ_t‖, "
            f"S = Σ_k softmax_k(x̂·ŵ_k / {self.gamma:g}) x̂·ŵ_k"
        )
