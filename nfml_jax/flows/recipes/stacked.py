"""The common part of all recipes: a stack of equal layers, a base and a direction."""

import inspect
from collections.abc import Sequence
from typing import Any

from nfml_jax.bijectors import Bijector, Chain, Inverse, Stack
from nfml_jax.bijectors.stack import MEMORY
from nfml_jax.flows.base import Base
from nfml_jax.flows.bases import (
    ClassConditional,
    GaussianMixture,
    LearnedNormal,
    Logistic,
    Normal,
    StudentT,
    VonMises,
)
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.resampled import Resampled
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.images import GlowNet
from nfml_jax.ops.checks import DEEPEST, WIDEST, check_choice, check_integer
from nfml_jax.ops.names import look_up

# The bases by the names that configs use.
BASES = {
    "normal": Normal,
    "learned_normal": LearnedNormal,
    "class_conditional": ClassConditional,
    "logistic": Logistic,
    "student_t": StudentT,
    "gaussian_mixture": GaussianMixture,
    "von_mises": VonMises,
    "resampled": Resampled,
}


IMAGE_PROPOSALS = 128
"""The draws that estimate Z of a resampled base of images."""


def make_base(
    name: str,
    event_dim: int = 0,
    *,
    event_shape: tuple[int, ...] = (),
    classes: int = 0,
) -> Base:
    """Return the base of this name in `BASES`, of vectors or of images.

    Args:
      name: A name of `BASES`.
      event_dim: The number of coordinates of a vector.
      event_shape: The shape `(H, W, C)` of images, in place of `event_dim`. The network
        of a resampled base is convolutional then.
      classes: The number of classes of a class-conditional base of images, which is the
        size of its context; 0 for the default.

    >>> make_base("gaussian_mixture", event_shape=(4, 4, 1)).components
    8
    """
    kind = look_up(BASES, name, "base")
    if not event_shape:
        return kind(event_dim)
    options: dict[str, Any] = {"event_shape": event_shape}
    if kind is ClassConditional and classes:
        options["classes"] = classes
    if kind is Resampled:
        options |= {"net": GlowNet(hidden=32), "samples": IMAGE_PROPOSALS}
    return kind(**options)


def passes_options_to(function):
    """Return a decorator that notes the function a recipe passes its options to."""

    def note(recipe):
        recipe.passes_to = function
        return recipe

    return note


def option_names(recipe) -> list[str]:
    """Return the names of all options of a recipe, with those that it passes on."""
    parameters = inspect.signature(recipe).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    further = getattr(recipe, "passes_to", None)
    return names + (option_names(further) if further else [])


def stacked(
    event_dim: int,
    layer: Sequence[Bijector],
    ends: Sequence[Bijector] = (),
    *,
    layers: int,
    fast: str = "log_prob",
    context_dim: int = 0,
    base: Base | str = "normal",
    memory: str = "keep",
) -> Flow:
    """Return a flow of `layers` equal layers, followed by `ends`.

    In the `fast` direction the layers are applied in the order given. A single layer is
    not stacked: its parameters have no axis of layers.
    """
    check_integer("the flow", 1, WIDEST, event_dim=event_dim)
    check_integer("the flow", 1, DEEPEST, layers=layers)
    check_choice("the flow", MEMORY, memory=memory)
    check_choice("the flow", ("log_prob", "sample"), fast=fast)
    one = Chain(tuple(layer))
    bijector = Chain((Stack(one, int(layers), memory) if layers > 1 else one, *ends))
    return Flow(
        bijector=bijector if fast == "sample" else Inverse(bijector),
        base=make_base(base, event_dim) if isinstance(base, str) else base,
        event_dim=event_dim,
        context_dim=context_dim,
    )


def amortized_by(options):
    """Return the network that computes parameters from a context, or None."""
    context_dim = options.get("context_dim", 0)
    check_integer("the flow", 0, WIDEST, context_dim=context_dim)
    return MLP() if context_dim else None
