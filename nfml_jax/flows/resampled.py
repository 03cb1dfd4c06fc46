"""A base distribution shaped by learned rejection, LARS (Bauer & Mnih 2019).

As a base of flows (Stimper et al. 2022) it has the modes and holes that a normal lacks.
"""

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax import loops
from nfml_jax.flows.bases import Normal
from nfml_jax.nets.conditioners import MLP

Array = jax.Array

# The running mean of the rate of acceptance, Z.
RATE = "acceptance"


class Resampled(nn.Module):
    """Draws of a proposal π, each kept with probability a(z), the T-th always.

    p(z) = π(z) ((1 - α) a(z) / Z + α), with α = (1 - Z)^(T - 1), Z = E_π[a] and T the
    `truncation` (Stimper et al. 2022, section 3.2). `net` is a conditioner, by default
    an MLP, whose one output is a's logit. `proposal` is another base, by default
    standard normals.

    Z is estimated while a "base" key is given (`rngs={"base": key}`) and the collection
    "acceptance" is mutable, as in training: from `samples` draws, through which its
    gradient goes, into a running mean of the given `momentum`. Else it is that mean.
    Samples carry no gradient.
    """

    event_dim: int
    net: nn.Module = MLP()
    proposal: nn.Module | None = None
    truncation: int = 100
    samples: int = 1024
    momentum: float = 0.95

    @nn.compact
    def __call__(self, context=None):
        proposal = (self.proposal or Normal(self.event_dim))(context=None)
        # Conditioners start at zero: half of the draws are kept.
        rate = self.variable(RATE, "rate", lambda: jnp.full((), 0.5))
        if self.is_initializing():
            self.net(jnp.zeros((1, self.event_dim)), None, 1)
        net, variables = self.net.unbind()

        def logit(z):
            return net.apply(variables, z, None, 1)[..., 0]

        value = rate.value
        learning = self.has_rng("base") and self.is_mutable_collection(RATE)
        if learning and not self.is_initializing():
            key = self.make_rng("base")
            z = proposal.sample(seed=key, sample_shape=(self.samples,))
            now = jax.nn.sigmoid(logit(z)).mean()
            change = (1 - self.momentum) * (jax.lax.stop_gradient(now) - value)
            rate.value = value + change
            # The mean's value, and the gradient of what was drawn now.
            value = rate.value + now - jax.lax.stop_gradient(now)
        return _Resampled(proposal, logit, value, self.truncation)


class _Resampled(distrax.Distribution):
    def __init__(self, proposal, logit, rate, truncation):
        self._proposal, self._logit = proposal, logit
        self._rate, self._truncation = rate, truncation

    @property
    def event_shape(self):
        return self._proposal.event_shape

    def log_prob(self, value):
        log_last = (self._truncation - 1) * jnp.log1p(-self._rate)
        log_first = jnp.log(-jnp.expm1(log_last)) - jnp.log(self._rate)
        kept = log_first + jax.nn.log_sigmoid(self._logit(value))
        return self._proposal.log_prob(value) + jnp.logaddexp(kept, log_last)

    def _sample_n(self, key, n):
        def draw(state):
            count, key, z, kept = state
            key, draw_key, keep_key = jax.random.split(key, 3)
            new = self._proposal.sample(seed=draw_key, sample_shape=(n,))
            z = jnp.where(kept[:, None], z, new)
            keep = jax.random.bernoulli(keep_key, jax.nn.sigmoid(self._logit(z)))
            return count + 1, key, z, kept | keep

        def unfinished(state):
            return (state[0] < self._truncation) & ~state[3].all()

        z = jnp.zeros_like(self._proposal.sample(seed=key, sample_shape=(n,)))
        state = 0, key, z, jnp.zeros(n, bool)
        return jax.lax.stop_gradient(loops.while_loop(unfinished, draw, state)[2])
