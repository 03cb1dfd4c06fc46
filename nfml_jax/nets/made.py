"""MADE and ResMADE: networks whose i-th output sees only what comes before i.

Germain et al. 2015 (MADE), Nash & Durkan 2019 (ResMADE). The masks come from a
dependency structure: an order of the coordinates or any acyclic graph, which the
network then respects exactly.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.nets.conditioners import Conditioner
from nfml_jax.nets.masked import Layer, MaskedNetwork
from nfml_jax.ops.checks import (
    DEEPEST,
    WIDEST,
    check_choice,
    check_integer,
    check_sizes,
    refuse,
)

Array = jax.Array


class Masked(Conditioner):
    """What MADE and ResMADE have in common: the structure, and how masks follow.

    Called as `made(x [..., D], context [..., C] or None, num_params)`; the result is
    `[..., D, num_params]`. `order` is "natural", "reverse", or all coordinates with the
    first one first; instead, `adjacency [D, D]` says in row i which coordinates the
    i-th one's parameters depend on, directly. All of them may depend on the context.
    Each hidden unit sees what some coordinate sees; which one, is dealt out evenly, or
    beyond one unit for each at random by `seed`. Raises UserError where the structure
    doesn't fit the events or has a cycle, or a layer has too few units for it.
    """

    order: str | Sequence[int] = "natural"
    adjacency: np.ndarray | Sequence[Sequence[bool]] | None = None
    seed: int | None = None

    def check_options(self):
        super().check_options()
        check_integer(self, 0, optional=True, seed=self.seed)
        if isinstance(self.order, str):
            check_choice(self, ("natural", "reverse"), order=self.order)
        else:
            check_sizes(self, 0, order=self.order)
        rows = np.array(self.adjacency if self.adjacency is not None else [[0]], object)
        if rows.ndim != 2 or not set(rows.ravel()) <= {0, 1}:
            refuse(self, "adjacency", self.adjacency, "a matrix of booleans")

    def __call__(self, x: Array, context: Array | None, num_params: int) -> Array:
        network, layers = self.network(x, context, num_params)
        return network(layers, x)

    def network(
        self, x: Array, context: Array | None, num_params: int
    ) -> tuple[MaskedNetwork, list[Layer]]:
        """The network as a pure function, and its numbers for this context."""
        raise NotImplementedError

    def masks(self, event_dim: int, widths: Sequence[int], conditional: bool):
        """Levels `[D]`, levels of each hidden layer's units, and a mask a layer.

        A mask `[in, out]` is True where a weight is; the last one has a column for each
        coordinate. There are no hidden layers where nothing depends on anything.
        """
        adjacency = self._adjacency(event_dim)
        levels = _levels(adjacency)
        # What a unit may see: what some coordinate sees. Nothing but the context is
        # something only where there is a context.
        sets = np.unique(adjacency, axis=0)
        sets = sets[sets.any(1) | conditional]
        ready = np.where(sets, levels + 1, 0).max(1, initial=0)
        sets, ready = sets[np.argsort(ready, kind="stable")], np.sort(ready)
        if not len(sets):
            return levels, [], [adjacency.T]
        kinds = [self._deal(width, len(sets)) for width in widths]
        inside = _contained(sets, sets)
        return (
            levels,
            [ready[kind] for kind in kinds],
            [
                sets[kinds[0]].T,
                *(inside[np.ix_(a, b)] for a, b in pairwise(kinds)),
                _contained(sets, adjacency)[kinds[-1]],
            ],
        )

    def layer(self, l: int, mask: np.ndarray, dtype, init=None, **more) -> Layer:
        """The l-th layer's numbers; by default each unit's inputs count equally."""
        init = init or _over_inputs(mask)
        kernel = self.param(f"kernel_{l}", init, mask.shape)
        bias = self.param(f"bias_{l}", nn.initializers.zeros, mask.shape[1:])
        bias = bias.astype(dtype) + more.pop("shift", 0)
        return Layer(jnp.where(mask, kernel, 0).astype(dtype), bias, **more)

    def last_layer(self, l: int, mask: np.ndarray, num_params: int, dtype, **more):
        """The last layer's numbers, which start at zero."""
        mask = np.repeat(mask, num_params, axis=1)
        return self.layer(l, mask, dtype, nn.initializers.zeros, **more)

    def kept(self, x: Array, width: int, dtype) -> Array | None:
        """What dropout multiplies a layer's `width` inputs by; None for ones."""
        if not self.dropout or not self.has_rng("dropout"):
            return None
        return self.drop(jnp.ones((*x.shape[:-1], width), dtype))

    def _adjacency(self, event_dim):
        if event_dim == 0:
            raise UserError("An autoregressive map needs events of one coordinate.")
        if self.adjacency is not None:
            adjacency = np.asarray(self.adjacency, bool)
            if adjacency.shape != (event_dim, event_dim) or self.order != "natural":
                raise UserError(
                    f"The adjacency has shape {list(adjacency.shape)} and the order is "
                    f"{self.order!r}; for events of {event_dim} coordinates give a "
                    f"[{event_dim}, {event_dim}] adjacency and no order, or an order."
                )
            return adjacency
        if isinstance(self.order, str):
            orders = {"natural": range(event_dim), "reverse": range(event_dim)[::-1]}
            order = orders.get(self.order)
        else:
            order = list(self.order)
        if order is None or sorted(order) != list(range(event_dim)):
            raise UserError(
                f"The order is {self.order!r} for events of {event_dim} coordinates; "
                "give 'natural', 'reverse', or each of their numbers from 0 once."
            )
        rank = np.argsort(order)
        return rank[:, None] > rank

    def _deal(self, width, kinds):
        if width < kinds:
            raise UserError(
                f"A hidden layer has {width} units for {kinds} different sets of "
                f"coordinates to depend on; make it {kinds} wide or wider."
            )
        if self.seed is None:
            return np.arange(width) * kinds // width
        drawn = np.random.default_rng(self.seed).integers(kinds, size=width - kinds)
        return np.sort(np.concatenate([np.arange(kinds), drawn]))


class MADE(Masked):
    """Masked dense layers of the given widths (Germain et al. 2015)."""

    hidden: tuple[int, ...] = (64, 64)

    def check_options(self):
        super().check_options()
        check_sizes(self, least=1, hidden=self.hidden)

    @nn.compact
    def network(self, x, context, num_params):
        dtype = self.dtype or x.dtype
        conditional = context is not None
        levels, units, masks = self.masks(x.shape[-1], self.hidden, conditional)
        layers = []
        for l, mask in enumerate(masks[:-1]):
            more = {"drop": self.kept(x, len(mask), dtype)} if l else {}
            if l == 0 and conditional:
                dense = nn.Dense(mask.shape[1], False, dtype, name="context")
                more["shift"] = dense(context)
            layers.append(self.layer(l, mask, dtype, **more))
        drop = self.kept(x, len(masks[-1]), dtype) if layers else None
        layers.append(
            self.last_layer(len(layers), masks[-1], num_params, dtype, drop=drop)
        )
        body = partial(_feed_forward, self.activation)
        return MaskedNetwork(body, levels, units, num_params, dtype), layers


class ResMADE(Masked):
    """Masked pre-activation residual blocks of two layers (Nash & Durkan 2019).

    With a context, it enters the first layer and gates the end of each block, as in
    neural spline flows (Durkan et al. 2019).
    """

    hidden: int = 128
    blocks: int = 2

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden)
        check_integer(self, 0, DEEPEST, blocks=self.blocks)

    @nn.compact
    def network(self, x, context, num_params):
        dtype = self.dtype or x.dtype
        conditional = context is not None
        widths = (self.hidden,) * (2 * self.blocks + 1)
        levels, units, masks = self.masks(x.shape[-1], widths, conditional)
        layers = []
        for l, mask in enumerate(masks[:-1]):
            more = {}
            if l == 0 and conditional:
                dense = nn.Dense(self.hidden, False, dtype, name="context")
                more["shift"] = dense(context)
            elif l and l % 2 == 0:
                # A block's end: close to the identity at first.
                more["init"] = nn.initializers.normal(1e-3)
                more["drop"] = self.kept(x, self.hidden, dtype)
                if conditional:
                    gate = nn.Dense(self.hidden, dtype=dtype, name=f"gate_{l // 2}")
                    more["gate"] = nn.sigmoid(gate(context))
            layers.append(self.layer(l, mask, dtype, **more))
        layers.append(self.last_layer(len(layers), masks[-1], num_params, dtype))
        body = partial(_residual, self.activation)
        return MaskedNetwork(body, levels, units, num_params, dtype), layers


def _feed_forward(activation, dense, count, x):
    for l in range(count - 1):
        x = activation(dense(l, x))
    return dense(count - 1, x)


def _residual(activation, dense, count, x):
    if count > 1:
        x = dense(0, x)
    for l in range(1, count - 1, 2):
        x = x + dense(l + 1, activation(dense(l, activation(x))))
    return dense(count - 1, x)


def _over_inputs(mask):
    """Normal weights whose variance is one over the inputs that a unit really has."""
    scale = 1 / np.sqrt(np.maximum(mask.sum(0), 1))
    return lambda key, shape: jax.random.normal(key, shape) * scale


def _contained(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Which rows of `small` are subsets of which rows of `large`: `[n, m]`."""
    return small.astype(np.float32) @ (~large).T.astype(np.float32) == 0


def _levels(adjacency: np.ndarray) -> np.ndarray:
    """The length of the longest chain of dependencies that ends in each coordinate."""
    levels = np.full(len(adjacency), -1)
    waits_for = adjacency.sum(1)
    level, ready = 0, waits_for == 0
    while ready.any():
        levels[ready] = level
        waits_for = waits_for - adjacency[:, ready].sum(1)
        level, ready = level + 1, (waits_for == 0) & (levels < 0)
    if (levels < 0).any():
        cycle = np.flatnonzero(levels < 0).tolist()
        raise UserError(
            f"The adjacency makes coordinates {cycle} depend on themselves; leave out "
            "what closes the cycle."
        )
    return levels
