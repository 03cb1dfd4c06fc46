"""Margin heads for classification, from softmax to the combined margin.

`MarginHead(num_classes=C, margin=ArcFace(0.5), scale=64.0)` is an ordinary Flax
module; `make_head` builds one from the plain values of a config.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from nfml_jax.errors import UserError
from nfml_jax.heads.head import MarginHead
from nfml_jax.heads.margins import (
    MARGINS,
    AdaCos,
    AdaFace,
    ArcFace,
    ArcNegFace,
    CircleLoss,
    CocoLoss,
    CombinedMargin,
    CosFace,
    CurricularFace,
    ElasticArcFace,
    ElasticCosFace,
    FocalLoss,
    L2Softmax,
    LSoftmax,
    MagFace,
    Margin,
    MVArcFace,
    MVCosFace,
    NormFace,
    Softmax,
    SphereFace,
    SphereFace2,
    SphereFaceR,
    SubCenterArcFace,
    UniformFace,
)
from nfml_jax.heads.outliers import dominant_centres, outliers
from nfml_jax.heads.output import HeadOutput
from nfml_jax.heads.scale import TargetProbability
from nfml_jax.heads.strength import Annealing, Warmup
from nfml_jax.heads.summation import SUMMATIONS
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.names import look_up

__all__ = [
    "MARGINS",
    "SUMMATIONS",
    "AdaCos",
    "AdaFace",
    "Annealing",
    "ArcFace",
    "ArcNegFace",
    "CircleLoss",
    "CocoLoss",
    "CombinedMargin",
    "CosFace",
    "CurricularFace",
    "ElasticArcFace",
    "ElasticCosFace",
    "FocalLoss",
    "HeadOutput",
    "L2Softmax",
    "LSoftmax",
    "MVArcFace",
    "MVCosFace",
    "MagFace",
    "Margin",
    "MarginHead",
    "NormFace",
    "Softmax",
    "SphereFace",
    "SphereFace2",
    "SphereFaceR",
    "SubCenterArcFace",
    "TargetProbability",
    "UniformFace",
    "Warmup",
    "dominant_centres",
    "make_head",
    "outliers",
]


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
    """The head `name` of `MARGINS` from plain values.

    `margin` None is the margin's default; the combined margin takes [m1, m2, m3].
    `scale` is a number (24 or "24"), "learned", "p=0.99" (see `TargetProbability`) or
    None for the margin's own. `warmup_steps` above 0 warms the margin up; otherwise
    `annealing` True is the schedule the margin was published with, if any, False is
    none, and a mapping gives `Annealing`'s fields. `summation`, `class_chunk` and
    `class_share` say how the classes are summed over, and `axis_name` is the device
    axis while training; see `MarginHead`. `options` are the margin's other fields.
    Raises `UserError` for anything that does not exist or fit.
    """
    kind = look_up(MARGINS, name, "Head")
    check_integer("the head", 1, class_chunk=class_chunk)
    check_number("the head", above=0, high=1, class_share=class_share)
    if embedding_size < 2:
        raise UserError(
            f"The head got embedding_size={embedding_size!r}; angles need at least 2."
        )
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
    """The margin's numbers by field, from the value of a config."""
    numbers = kind.numbers()
    if margin is None:
        return {}
    if not numbers:
        raise UserError(
            f"Head {name!r} has no margin, but got margin={margin!r}; leave it out, or "
            "take a head with a margin, such as 'arcface'."
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
    """A number, "learned" or "p=0.99", which a command line gives as text."""
    if not isinstance(scale, str):
        check_number("the head", above=0, optional=True, scale=scale)
    if not isinstance(scale, str) or scale == "learned":
        return scale
    try:
        value = float(scale.removeprefix("p="))
    except ValueError:
        raise UserError(
            f"The head got scale={scale!r}; expected a number, 'learned', or 'p=0.99' "
            "for the scale at which a perfect example has probability 0.99."
        ) from None
    return TargetProbability(value) if scale.startswith("p=") else value


def _strength(kind, warmup_steps, annealing):
    check_integer("the head", 0, warmup_steps=warmup_steps)
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
