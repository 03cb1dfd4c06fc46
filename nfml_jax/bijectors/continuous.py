"""Continuous flows: the solution of dx/dt = f(t, x) from t = 0, the base, to t = 1.

The sources are Chen et al. 2018 and FFJORD (Grathwohl et al. 2019). The equation is
solved by diffrax, an optional dependency. `nfml_jax.flows.flow_matching_loss` trains f
without solving anything.
"""

from functools import partial
from types import ModuleType
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.errors import UserError
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_choice, check_integer, check_kind, check_number
from nfml_jax.ops.events import at_places
from nfml_jax.ops.modules import any_part

Array = jax.Array

SOLVERS = {"tsit5": "Tsit5", "dopri5": "Dopri5", "dopri8": "Dopri8", "heun": "Heun"}
ADJOINTS = {
    "checkpoint": "RecursiveCheckpointAdjoint",
    "backsolve": "BacksolveAdjoint",
    "direct": "DirectAdjoint",
}


class Continuous(Bijector):
    """y = x(1), where x(0) = x and dx/dt = net([x, t], context).

    The log-determinant is ∫ tr(∂f/∂x) dt. It is exact, and takes D passes of the
    derivative of f at each step. If a "log_det" key is given (`rngs={"log_det": key}`),
    it is Hutchinson's estimate with one direction for the whole path. The inverse
    solves backwards in time.

    Attributes:
      net: A conditioner that computes f. Use smooth activations.
      solver: A solver of `SOLVERS`. It keeps the error of each step below
        `atol` + `rtol` |x|, which limits the accuracy of the map.
      rtol: The relative tolerance of a step.
      atol: The absolute tolerance of a step.
      adjoint: The way gradients are computed. "checkpoint" differentiates the solver's
        steps, and does not work within shard_map. "backsolve" solves a second equation
        backwards, in constant memory but inexactly. "direct" supports forward-mode
        differentiation as well.
      max_steps: The largest number of steps.
      event_ndim: The number of axes of an event, 3 for images. The net of images is
        convolutional; it gets the time as one more channel.

    An event with NaN or infinity gives NaN. It doesn't affect the other events of its
    batch: the solver starts it from zeros, and ignores numbers that are not finite when
    it chooses its steps.

    >>> from nfml_jax.nets import MLP
    >>> layer = Continuous(MLP(hidden=(8,), activation=nn.softplus))
    >>> x = jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> layer.apply(variables, jnp.zeros(()), x, method="velocity").tolist()
    [[0.0, 0.0, 0.0]]
    """

    estimates: ClassVar[bool] = True

    net: nn.Module
    solver: str = "tsit5"
    rtol: float = 1e-5
    atol: float = 1e-5
    adjoint: str = "checkpoint"
    max_steps: int = 4096
    event_ndim: int = 1

    def check_options(self):
        check_kind(self, nn.Module, net=self.net)
        check_choice(self, SOLVERS, solver=self.solver)
        check_choice(self, ADJOINTS, adjoint=self.adjoint)
        check_number(self, above=0.0, rtol=self.rtol, atol=self.atol)
        check_integer(self, 1, max_steps=self.max_steps, event_ndim=self.event_ndim)

    def forward_and_log_det(self, x, context=None):
        return self._solve(x, context, 0, 1)

    def inverse_and_log_det(self, y, context=None):
        return self._solve(y, context, 1, 0)

    def velocity(self, t: Array, x: Array, context: Array | None = None) -> Array:
        """Return f(t, x) `[*batch, *event]` for times `[*batch]` and events x."""
        shape = x.shape[x.ndim - self.event_ndim :]
        context = at_places(context, x, self.event_ndim)
        x = x.reshape(*x.shape[: x.ndim - len(shape)], -1)
        rate = _velocity(self.net, t, x, context, shape)
        return rate.reshape(*rate.shape[:-1], *shape)

    def _solve(self, x, context, start, end):
        """Return the solution at `end`, computed for vectors of all of an event."""
        shape = x.shape[x.ndim - self.event_ndim :]
        context = at_places(context, x, self.event_ndim)
        x = x.reshape(*x.shape[: x.ndim - len(shape)], -1)
        y, log_det = self._solve_vectors(x, context, start, end, shape)
        return y.reshape(*y.shape[:-1], *shape), log_det

    def _solve_vectors(self, x, context, start, end, shape):
        finite = jnp.isfinite(x).all(-1)
        x = jnp.where(finite[..., None], x, 0)
        nothing = jnp.zeros(x.shape[:-1], x.dtype)
        if self.is_initializing():
            rate = _velocity(self.net, jnp.asarray(start), x, context, shape)
            return x + 0 * rate, nothing
        diffrax = _diffrax()
        solver = getattr(diffrax, SOLVERS[self.solver])
        adjoint = getattr(diffrax, ADJOINTS[self.adjoint])
        # A pure function of all that it depends on, as adjoint equations need.
        net, variables = self.net.unbind()
        direction = None
        if self.has_rng("log_det"):
            key = self.make_rng("log_det")
            direction = jax.random.rademacher(key, x.shape, x.dtype)

        @broadcasting
        def rates(t, state, given):
            variables, context, direction = given

            def field(x):
                velocity = partial(_velocity, shape=shape)
                return net.apply(variables, t, x, context, method=velocity)

            return value_and_trace(field, state[0], direction)

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(rates),
            solver(),
            t0=jnp.asarray(start, x.dtype),
            t1=jnp.asarray(end, x.dtype),
            dt0=None,
            y0=(x, nothing),
            args=(variables, context, direction),
            stepsize_controller=diffrax.PIDController(
                rtol=self.rtol, atol=self.atol, norm=_norm_of_finite
            ),
            adjoint=adjoint(),
            max_steps=self.max_steps,
        )
        y, log_det = solution.ys
        y = jnp.where(finite[..., None], y[0], jnp.nan)
        return y, jnp.where(finite, log_det[0], jnp.nan)


def _norm_of_finite(tree) -> Array:
    """Return the root mean square of a tree, with zeros for what is not finite."""
    import optimistix

    finite = jax.tree.map(lambda x: jnp.where(jnp.isfinite(x), x, 0), tree)
    return optimistix.rms_norm(finite)


def has_continuous(module) -> bool:
    """Return whether a module contains a `Continuous`, at any depth.

    The loops of its solver start from constants, which shard_map's checks refuse.
    """
    return any_part(module, lambda part: isinstance(part, Continuous))


def _velocity(net, t, x, context, shape):
    """Return f(t, x) for vectors x `[..., D]` of all numbers of events of `shape`."""
    batch = x.shape[:-1]
    t = jnp.asarray(t, x.dtype)
    t = t.reshape(*t.shape, *(1,) * len(shape))
    time = jnp.broadcast_to(t, (*batch, *shape[:-1], 1))
    events = x.reshape(*batch, *shape)
    rate = net(jnp.concatenate([events, time], axis=-1), context, shape[-1])
    return rate.astype(x.dtype).reshape(*batch, -1)


def value_and_trace(field, x: Array, direction: Array | None):
    """Return f(x) `[..., D]` and tr ∂f/∂x `[...]`.

    With a `direction` v `[..., D]` the trace is the estimate vᵀ ∂f/∂x v.
    """
    value, push = jax.linearize(field, x)
    if direction is not None:
        return value, (direction * push(direction)).sum(-1)

    def diagonal(e):
        return (push(jnp.broadcast_to(e, x.shape)) * e).sum(-1)

    return value, jax.vmap(diagonal)(jnp.eye(x.shape[-1], dtype=x.dtype)).sum(0)


def _diffrax() -> ModuleType:
    try:
        import diffrax
    except ImportError:
        raise UserError(
            "Continuous flows need diffrax, which is not installed; run "
            "`pip install diffrax`."
        ) from None
    return diffrax
