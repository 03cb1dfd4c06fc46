"""MADE and ResMADE: networks whose i-th output depends on earlier inputs only.

The sources are Germain et al. 2015 (MADE) and Nash & Durkan 2019 (ResMADE). The masks
follow from a dependency structure: an order of the coordinates or any acyclic graph,
which the network respects exactly.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.nets.conditioners import Conditioner
from nfml_jax.nets.dependencies import adjacency_of, assign_units, contained, levels_of
from nfml_jax.nets.masked_network import Layer, MaskedNetwork, over_inputs
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
    """The base class of MADE and ResMADE: the dependency structure and its masks.

    They are called as `made(x, context, num_params)` with x `[..., D]` and a context
    `[..., C]` or None. The result is `[..., D, num_params]`. All parameters may depend
    on the context.

    Attributes:
      order: "natural", "reverse", or all coordinates in their order.
      adjacency: A matrix `[D, D]` instead of an order, or None. Row i is True for the
        coordinates on which the parameters of coordinate i depend directly.
      seed: None assigns hidden units to coordinates evenly. A number assigns one to
        each, and the others at random. A hidden unit depends on the same inputs as the
        parameters of its coordinate.

    Raises:
      UserError: The structure doesn't fit the events or has a cycle, or a layer has too
        few units for it.
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
        """Return the network as a pure function, and its layers for this context."""
        raise NotImplementedError

    def masks(self, event_dim: int, widths: Sequence[int], conditional: bool):
        """Return levels `[D]`, levels of each hidden layer's units, and all masks.

        A mask `[in, out]` is True where there is a weight. The last one has a column
        for each coordinate. Without any dependency there are no hidden layers.
        """
        adjacency = adjacency_of(self.order, self.adjacency, event_dim)
        levels = levels_of(adjacency)
        # A unit's inputs are those of some coordinate. A unit without inputs is of use
        # only if there is a context.
        sets = np.unique(adjacency, axis=0)
        sets = sets[sets.any(1) | conditional]
        ready = np.where(sets, levels + 1, 0).max(1, initial=0)
        sets, ready = sets[np.argsort(ready, kind="stable")], np.sort(ready)
        if not len(sets):
            return levels, [], [adjacency.T]
        kinds = [assign_units(width, len(sets), self.seed) for width in widths]
        inside = contained(sets, sets)
        return (
            levels,
            [ready[kind] for kind in kinds],
            [
                sets[kinds[0]].T,
                *(inside[np.ix_(a, b)] for a, b in pairwise(kinds)),
                contained(sets, adjacency)[kinds[-1]],
            ],
        )

    def layer(self, l: int, mask: np.ndarray, dtype, init=None, **more) -> Layer:
        """Return layer l; by default the variance is one over a unit's inputs."""
        init = init or over_inputs(mask)
        kernel = self.param(f"kernel_{l}", init, mask.shape)
        bias = self.param(f"bias_{l}", nn.initializers.zeros, mask.shape[1:])
        bias = bias.astype(dtype) + more.pop("shift", 0)
        return Layer(jnp.where(mask, kernel, 0).astype(dtype), bias, **more)

    def last_layer(self, l: int, mask: np.ndarray, num_params: int, dtype, **more):
        """Return the last layer, which starts at zero."""
        mask = np.repeat(mask, num_params, axis=1)
        return self.layer(l, mask, dtype, nn.initializers.zeros, **more)

    def kept(self, x: Array, width: int, dtype) -> Array | None:
        """Return dropout's factors of a layer's `width` inputs, or None for ones."""
        if not self.dropout or not self.has_rng("dropout"):
            return None
        return self.drop(jnp.ones((*x.shape[:-1], width), dtype))


class MADE(Masked):
    """Masked dense layers with the widths `hidden` (Germain et al. 2015)."""

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

    A context is added to the first layer and gates the end of each block, as in neural
    spline flows (Durkan et al. 2019).
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
                # A block starts close to the identity.
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
