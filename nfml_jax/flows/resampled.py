"""A base distribution with learned rejection, LARS (Bauer & Mnih 2019).

As a base of flows (Stimper et al. 2022) it has the modes and holes that a normal lacks.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.transforms.transform import LINE, Interval
from nfml_jax.flows.base import Base
from nfml_jax.flows.normal_bases import Normal
from nfml_jax.nets.conditioners import MLP
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_kind, check_number

Array = jax.Array

# The running mean of the rate of acceptance, Z.
RATE = "acceptance"


class Resampled(Base):
    """Draws of a proposal π, each accepted with probability a(z), the T-th always.

    p(z) = π(z) ((1 - α) a(z) / Z + α), with α = (1 - Z)^(T - 1), Z = E_π[a] and T the
    `truncation` (Stimper et al. 2022, section 3.2).

    Z is estimated from `samples` draws while a "base" key is given
    (`rngs={"base": key}`) and the collection "acceptance" is mutable, as in training.
    The estimate is differentiable, and updates a running mean. Otherwise Z is the
    running mean, with the gradient of an estimate from fixed draws. Samples carry no
    gradient: `has_path` is false, and objectives use their score instead.

    Attributes:
      event_dim: The number of coordinates of vectors.
      event_shape: The shape of other events, such as feature maps `[H, W, C]`.
      net: A conditioner with one output, the logit of a; of images, its mean over all
        places.
      proposal: Another base π, by default standard normals.
      truncation: T, the largest number of draws for a sample.
      samples: The number of draws in an estimate of Z.
      momentum: The weight of the running mean in an update.

    >>> base, variables = Resampled(2).init_with_output(jax.random.key(0))
    >>> float(variables["acceptance"]["rate"]), base.event_shape
    (0.5, (2,))
    """

    has_path: ClassVar[bool] = False
    estimates: ClassVar[bool] = True
    """True: Z is estimated where a "base" key is given."""

    net: nn.Module = MLP()
    proposal: Base | None = None
    truncation: int = 100
    samples: int = 1024
    momentum: float = 0.95

    def check_options(self):
        super().check_options()
        check_kind(self, nn.Module, net=self.net)
        check_kind(self, Base, optional=True, proposal=self.proposal)
        check_integer(self, 1, truncation=self.truncation, samples=self.samples)
        check_number(self, 0.0, below=1.0, momentum=self.momentum)

    @property
    def interval(self) -> Interval:
        return LINE if self.proposal is None else self.proposal.interval

    @property
    def on_sphere(self) -> bool:
        return self.proposal is not None and self.proposal.on_sphere

    @nn.compact
    def __call__(self, context=None):
        from nfml_jax.flows import distributions

        default = Normal(self.event_dim, event_shape=self.event_shape)
        proposal = (self.proposal or default)(context=None)
        # Conditioners start at zero: half of the draws are accepted.
        rate = self.variable(RATE, "rate", lambda: jnp.full((), 0.5))
        if self.is_initializing():
            self.net(jnp.zeros((1, *self.shape)), None, 1)
        net, variables = self.net.unbind()
        value = rate.value
        learning = self.has_rng("base") and self.is_mutable_collection(RATE)
        if learning and not self.is_initializing():
            key = self.make_rng("base")
            now = _rate_of_draws(net, self.samples, key, variables, proposal)
            change = (1 - self.momentum) * (jax.lax.stop_gradient(now) - value)
            rate.value = value + change
            # The value of the running mean, and the gradient of the new estimate.
            value = rate.value + now - jax.lax.stop_gradient(now)
        elif not self.is_initializing():
            key = jax.random.key(0)
            now = _rate_of_draws(net, self.samples, key, variables, proposal)
            value = _with_gradient_of(now, value)
        return distributions.Resampled(proposal, net, variables, value, self.truncation)


def _rate_of_draws(net, samples, key, variables, proposal):
    """Return the mean probability that a draw of the proposal is accepted."""
    z = proposal.sample(seed=key, sample_shape=(samples,))
    from nfml_jax.flows.distributions import acceptance_logit

    axes = len(proposal.event_shape)
    return jax.nn.sigmoid(acceptance_logit(net, variables, z, axes)).mean()


@jax.custom_jvp
def _with_gradient_of(estimate, rate):
    """Return `rate` with the gradient of its estimate, which costs nothing forward."""
    return rate


@_with_gradient_of.defjvp
@broadcasting
def _(primals, tangents):
    return primals[1], tangents[0] + tangents[1]
