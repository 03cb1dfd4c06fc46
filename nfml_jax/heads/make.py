"""Heads from the plain values of a config."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nfml_jax.errors import UserError
from nfml_jax.heads.head import MarginHead
from nfml_jax.heads.margins import MARGINS
from nfml_jax.heads.scale import TargetProbability
from nfml_jax.heads.strength import Annealing, Warmup
from nfml_jax.ops.checks import check_integer, check_number, refuse
from nfml_jax.ops.fields import traced_fields
from nfml_jax.ops.names import look_up


def make_head(
    num_classes: int,
    embedding_size: int,
    *,
    name: str,
    margin: float | Sequence[float] | None = None,
    scale: float | str | None = None,
    warmup_steps: int = 0,
    annealing: bool | Mapping = True,
    summation: str = "dense",
    class_chunk: int = 2048,
    class_share: float = 1.0,
    axis_name: str | None = None,
    **options,
) -> MarginHead:
    """Return the head `name` of `MARGINS`, from plain values.

    Args:
      num_classes: the number of classes, C.
      embedding_size: the number of coordinates of an embedding, D.
      name: a name in `MARGINS`.
      margin: the margin's number, or None for its default; the combined margin takes
        `[m1, m2, m3]`.
      scale: a number, "learned", "p=0.99" (see `TargetProbability`), or
        None for the margin's default.
      warmup_steps: the steps over which the margin grows, if above 0.
      annealing: without a warm-up, True is the margin's published schedule, if any,
        False is none, and a mapping has `Annealing`'s fields.
      summation: a name in `SUMMATIONS`; see `MarginHead`, also for the next three.
      class_chunk: the number of classes in a block of a streamed sum.
      class_share: the share of the classes that a step sums over.
      axis_name: the device axis during training.
      options: the margin's other fields.

    Raises:
      UserError: for a name or an option that is unknown, or a value that doesn't fit.

    >>> make_head(10, 64, name="arcface", margin=0.3, scale=30.0, easy=True).formula()
    '30·cos(θ + 0.3)'
    >>> make_head(10, 64, name="arcfase")
    Traceback (most recent call last):
    nfml_jax.errors.UserError: Head 'arcfase' is not known (did you mean 'arcface'?)...

    """
    kind = look_up(MARGINS, name, "Head")
    check_integer("the head", 1, class_chunk=class_chunk)
    check_number("the head", above=0, high=1, class_share=class_share)
    check_integer("the head", 2, hint=", as angles need", embedding_size=embedding_size)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for option in options:
        look_up(fields, option, f"Head {name!r}: option")
    return MarginHead(
        num_classes=num_classes,
        margin=kind(**{**_numbers(name, kind, margin), **options}),
        scale=_scale(scale),
        strength=_strength(kind, warmup_steps, annealing),
        summation=summation,
        class_chunk=class_chunk,
        class_share=class_share,
        axis_name=axis_name,
    )


def _numbers(name, kind, margin) -> dict:
    """Return the margin's numbers by field, from the value of a config."""
    numbers = kind.numbers()
    if margin is None:
        return {}
    if not numbers:
        raise UserError(
            f"Head {name!r} has no margin, but got margin={margin!r}; leave it out, or "
            "use a head with a margin, such as 'arcface'."
        )
    several = isinstance(margin, Sequence) and not isinstance(margin, str)
    values = margin if several else [margin]
    if len(values) != len(numbers):
        wanted = f"{len(numbers)} numbers, {', '.join(numbers)}"
        raise UserError(
            f"Head {name!r} got margin={margin!r}; expected "
            f"{wanted if len(numbers) > 1 else 'one number'}."
        )
    return dict(zip(numbers, values, strict=True))


def _scale(scale):
    """Return a head's scale from a number, "learned", or a text such as "p=0.99"."""
    if not isinstance(scale, str):
        check_number("the head", above=0, optional=True, scale=scale)
    if not isinstance(scale, str) or scale == "learned":
        return scale
    kind, _, probability = scale.partition("=")
    try:
        value = float(probability if kind == "p" else "")
    except ValueError:
        raise UserError(
            f"The head got scale={scale!r}; expected a number, 'learned', or 'p=0.99' "
            "for the scale at which a perfect example has probability 0.99."
        ) from None
    return TargetProbability(value)


def _strength(kind, warmup_steps, annealing):
    """Return the schedule of the margin's strength, or None."""
    check_integer("the head", 0, warmup_steps=warmup_steps)
    if not isinstance(annealing, bool | Mapping):
        refuse("the head", "annealing", annealing, "True, False or fields of Annealing")
    if isinstance(annealing, Mapping):
        if warmup_steps:
            raise UserError(
                f"The head got both warmup_steps={warmup_steps!r} and annealing; "
                "give one of them."
            )
        known = {field.name: field for field in dataclasses.fields(Annealing)}
        for name in annealing:
            look_up(known, name, "Annealing: field")
        return Annealing(**annealing)
    if warmup_steps:
        return Warmup(warmup_steps)
    return kind.default_strength if annealing else None


def traced_options(section: Mapping[str, Any]) -> frozenset[str]:
    """Return the arguments of `make_head` that a compiled program takes as inputs.

    `section` holds the arguments. Those of the annealing have dotted names.

    >>> sorted(traced_options({"name": "mv_cosface"}))
    ['annealing.base', 'annealing.gamma', 'annealing.minimum', 'annealing.power',
     'margin', 'scale', 't']
    """
    kind = MARGINS.get(str(section.get("name")))
    if kind is None:
        return frozenset()
    own = traced_fields(kind) | ({"margin"} if kind.numbers() else set())
    annealing = {f"annealing.{name}" for name in traced_fields(Annealing)}
    return frozenset(own | annealing | traced_fields(MarginHead))
