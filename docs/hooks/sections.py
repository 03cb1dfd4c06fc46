"""Sections of the pages of heads and losses, one for each entry of the registries."""

import dataclasses
import inspect
import re

from executed import figure
from formulae import to_tex

from nfml_jax.heads import MARGINS, Margin
from nfml_jax.losses import LOSSES, make_loss

# Fields that a loop or an objective sets, and not the user of a loss.
NOT_OPTIONS = {"axis_name", "name", "num_classes", "embedding_size", "parent"}
ARXIV = re.compile(r"(?<![\d/.])(\d{4}\.\d{4,5})(?![\d.])")


def margins(_: str) -> str:
    """Return a section for each margin: its curve, equation, numbers and source."""
    return "\n\n".join(_margin(name, kind) for name, kind in MARGINS.items())


def losses(_: str) -> str:
    """Return a section for each loss: its equation, numbers, metric and source."""
    return "\n\n".join(_loss(name) for name in LOSSES)


def _margin(name: str, kind: type[Margin]) -> str:
    margin = kind()
    equations = [("φ", margin.formula())]
    if margin.others_formula() != Margin().others_formula():
        equations.append(("ψ", margin.others_formula()))
    rows = {
        "parameters": _options(margin),
        "scale": _scale(margin),
        "normalized": _normalized(margin),
        "loss": margin.loss_words(),
        "use it for": margin.use,
        "paper": _paper(kind),
        "class": f"[`{kind.__name__}`][nfml_jax.heads.{kind.__name__}]",
    }
    if rows["loss"] == Margin().loss_words():
        del rows["loss"]
    parts = [
        f"### `{name}` {{ #{name} }}",
        '<div class="margin" markdown>',
        figure(f"img/margins/{name}", f"The target logit of {name}"),
        "<div markdown>",
        _words(kind),
        *(f"$${to_tex(f'{left} = {right}')}$$" for left, right in equations),
        _table(rows),
        "</div>",
        "</div>",
    ]
    return "\n\n".join(parts)


def _loss(name: str) -> str:
    objective = make_loss(num_classes=10, embedding_size=64, name=name)
    # Pair losses are within the objective that drives them all.
    loss = getattr(objective, "loss", objective)
    kind = type(loss)
    miner = getattr(loss, "miner", "all")
    rows = {
        "parameters": _options(loss),
        "metric": f"`{loss.metric}`" if hasattr(loss, "metric") else "",
        "miner": "" if miner == "all" else f"published with `{miner}`",
        "needs": loss.needs,
        "use it for": loss.use,
        "paper": _paper(kind),
        "class": f"[`{kind.__name__}`][nfml_jax.losses.{kind.__name__}]",
    }
    return "\n\n".join(
        [
            f"### `{name}` {{ #{name} }}",
            _words(kind),
            f"$${to_tex(loss.formula())}$$",
            '<div class="facts" markdown>',
            _table(rows),
            "</div>",
        ]
    )


def _table(rows: dict[str, str]) -> str:
    """Return a table without a head, of the rows that say something."""
    lines = (f"| {left} | {right} |" for left, right in rows.items() if right)
    return "\n".join(["| | |", "|---|---|", *lines])


def _options(what) -> str:
    """Return the parameters of a margin or of a loss with their defaults."""
    shown = []
    for field in dataclasses.fields(what):
        if field.name in NOT_OPTIONS or field.metadata.get("statistic"):
            continue
        value = getattr(what, field.name)
        if isinstance(value, float):
            value = float(f"{value:.4g}")
        if isinstance(value, int | float | str | bool | None):
            shown.append(f"`{field.name}={value!r}`".replace("'", '"'))
    return ", ".join(shown) or "none"


def _scale(margin: Margin) -> str:
    if margin.finds_scale:
        return "computed from the batch"
    scale = margin.own_scale(10)
    if scale is None:
        return "none: embeddings keep their norm"
    return f"`scale={float(scale):.4g}`" + (
        " for ten classes" if margin.own_scale(1000) != scale else ""
    )


def _normalized(margin: Margin) -> str:
    parts = {
        "embeddings": margin.normalize_embeddings,
        "class weights": margin.normalize_weights,
    }
    return " and ".join(name for name, yes in parts.items() if yes) or "neither"


def _paper(kind: type) -> str:
    """Return the source of a margin or of a loss, with a link to it on arXiv."""
    found = ARXIV.search(inspect.getdoc(kind) or "")
    if not found or kind.paper == "–":
        return kind.paper
    return f"[{kind.paper}](https://arxiv.org/abs/{found[1]})"


def _words(kind: type) -> str:
    """Return the part of a docstring before its arguments and examples."""
    text = re.split(r"\n *(?:>>>|Attributes:|Args:)", inspect.getdoc(kind) or "")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
