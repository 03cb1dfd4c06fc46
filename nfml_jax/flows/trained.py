"""A trained flow back from its run directory, in the units of its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors import Inverse
from nfml_jax.bijectors.combinators import INTERMEDIATES
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes import make_flow

# Rows that go through the flow at once: its activations take the memory.
CHUNK = 4096


@dataclass(frozen=True)
class TrainedFlow:
    """Pure, jitted functions of rows `[N, event_dim]` in their original units.

    A row was standardised as (original - `shift`) / `scale` before the flow saw it.
    """

    flow: Flow
    variables: Any
    shift: np.ndarray
    scale: np.ndarray
    step: int

    def log_prob(self, x) -> np.ndarray:
        """Log-densities `[N]` in nats, any number of rows in chunks of `CHUNK`."""
        x = (np.asarray(x, np.float64) - self.shift) / self.scale
        parts = [
            np.asarray(self._log_prob(self.variables, part))
            for part in _chunks(x.astype(np.float32))
        ]
        log_det = np.log(self.scale).sum()
        return np.concatenate([np.zeros(0), *parts]) - log_det

    def sample(self, seed: int, n: int) -> np.ndarray:
        """`n` draws `[n, event_dim]`; a longer draw begins with the shorter one."""
        parts = [
            np.asarray(self._sample(self.variables, seed, part))
            for part in _chunks(np.arange(n, dtype=np.uint32))
        ]
        empty = np.zeros((0, len(self.scale)))
        return np.concatenate([empty, *parts]) * self.scale + self.shift

    @cached_property
    def _log_prob(self):
        return jax.jit(self.flow.apply)

    @cached_property
    def _sample(self):
        return jax.jit(lambda v, seed, rows: draw(self.flow, v, seed, rows)[0])


def draw(flow: Flow, variables, seed, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draws `[N, event_dim]` keyed by numbers `rows [N]`, and their log-densities."""
    key = jax.random.key(seed)

    def one(row):
        key_of_row = jax.random.fold_in(key, row)
        return flow.apply(variables, key_of_row, method="sample_and_log_prob")

    return jax.vmap(one)(rows)


def path(flow: Flow, variables, key: jax.Array, n: int) -> jax.Array:
    """`n` draws on their way from the base through all layers to the data.

    Gives `[layers + 1, n, event_dim]`; what follows the stack of layers counts to its
    last, and a flow without a stack has one layer.
    """
    (z, x), seen = flow.apply(
        variables, key, n, method="sample_path", mutable=[INTERMEDIATES]
    )
    events = jax.tree.leaves(seen)
    if not events:
        return jnp.stack([z, x])
    layers = events[0]
    if isinstance(flow.bijector, Inverse):
        layers = layers[::-1]
    return jnp.concatenate([z[None], layers[:-1], x[None]])


def load_flow(config: Mapping, variables, meta: Mapping, result) -> TrainedFlow:
    """The loader of the density experiment; see `nfml_jax.load`."""
    model = meta["model"]
    return TrainedFlow(
        flow=make_flow(event_dim=model["event_dim"], **config["flow"]),
        variables=jax.tree.map(jnp.asarray, variables),
        shift=np.asarray(model["shift"]),
        scale=np.asarray(model["scale"]),
        step=meta["step"],
    )


def _chunks(rows):
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]
