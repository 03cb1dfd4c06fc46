"""The sections of a config that name a model: encoder, head, objective and flow.

Beside the fields here, a section has those of what it names; `further` collects them,
and the function that makes the model checks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nfml_jax.ops.checks import check_integer, check_number, check_text
from nfml_jax.ops.settings import Settings, further, setting


def check_scale(owner: Any, **values: Any) -> None:
    """Raise UserError for what is neither a number above 0 nor a text."""
    for name, value in values.items():
        if not isinstance(value, str):
            hint = ", 'learned', or 'p=0.99'"
            check_number(owner, above=0, hint=hint, **{name: value})


def check_miner(owner: Any, **values: Any) -> None:
    """Raise UserError for what is neither a name nor a section with a name."""
    for name, value in values.items():
        if not isinstance(value, Mapping):
            check_text(owner, empty=False, **{name: value})


def check_annealing(owner: Any, **values: Any) -> None:
    """Accept a flag or a section; `nfml_jax.heads.make_head` checks its fields."""


@dataclass(frozen=True)
class EncoderSettings(Settings):
    """The section "encoder": the network that embeds images or vectors."""

    section = "encoder"

    name: str = setting("One of `nfml_jax.nets.NETS`: cnn, lenetpp, mlp, resnet18.")
    embedding_size: int = setting(
        "The coordinates of an embedding.", check=partial(check_integer, low=1)
    )
    dtype: str = setting(
        "The type of the arithmetic; parameters stay float32.", "float32"
    )
    options: Mapping[str, Any] = further("The fields of the network.")


@dataclass(frozen=True)
class HeadSettings(Settings):
    """The section "head": a margin head; see `nfml_jax.heads.make_head`."""

    section = "head"

    name: str = setting("One of `nfml_jax.heads.MARGINS`.")
    margin: float | tuple | None = setting(
        "The margin: radians, cosines or a factor; of several numbers a tuple. None is "
        "the published one.",
        None,
        check=lambda owner, **values: None,
    )
    scale: float | str | None = setting(
        'The scale of the logits, "learned", or "p=0.99" for the one at which a '
        "perfect example has that probability; None is the head's own.",
        None,
        check=check_scale,
    )
    warmup_steps: int = setting(
        "The steps over which the margin grows to its full strength.", 0
    )
    annealing: bool | Mapping = setting(
        "Without a warm-up: the schedule of the margin's share, or whether to take the "
        "published one.",
        True,
        check=check_annealing,
    )
    summation: str = setting("One of `nfml_jax.heads.SUMMATIONS`.", "dense")
    class_chunk: int = setting("The classes in a block of a streamed sum.", 2048)
    class_share: float = setting("The share of the classes in a step's sum.", 1.0)
    options: Mapping[str, Any] = further("The fields of the margin.")


@dataclass(frozen=True)
class ObjectiveSettings(Settings):
    """The section "objective": a pair, proxy or whole-batch loss."""

    section = "objective"

    name: str = setting("One of `nfml_jax.losses.LOSSES`.")
    miner: str | Mapping | None = setting(
        "One of `nfml_jax.losses.MINERS`, or a section with its name and its fields; "
        "None is the loss's own.",
        None,
        check=check_miner,
    )
    options: Mapping[str, Any] = further("The fields of the loss.")


@dataclass(frozen=True)
class LossSettings(ObjectiveSettings):
    """The section "loss" of the experiment on metrics, as an objective."""

    section = "loss"


@dataclass(frozen=True)
class FlowSettings(Settings):
    """The section "flow": a recipe of `nfml_jax.flows`."""

    section = "flow"

    recipe: str = setting("One of `nfml_jax.flows.RECIPES`.")
    options: Mapping[str, Any] = further("The arguments of the recipe.")

    def words(self) -> str:
        """Return the recipe and its arguments for the header of a run."""
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.recipe}: {options}"
