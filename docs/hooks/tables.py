"""Tables that pages ask for by `{{ NAME ARGUMENTS }}`, from registries and runs."""

import contextlib
import html
import inspect
import io
import re
import shlex
from pathlib import Path

from executed import figure

from nfml_jax.cli import heads, losses, maps
from nfml_jax.cli import results as results_command
from nfml_jax.heads import MARGINS, Margin

ROOT = Path(__file__).parents[2]
MACRO = re.compile(r"^\{\{ *(\w+)(.*?)\}\}$", re.MULTILINE)
BY_COMMAND = re.compile(r",?\s+by\s+`(python -m nfml_jax results [^`]+)`:?[ \t]*\n")


def expanded(markdown: str) -> str:
    """Return the Markdown of a page with its macros replaced by what they name."""
    return MACRO.sub(lambda m: MACROS[m[1]](m[2].strip()), markdown)


def heads_table(_: str) -> str:
    """Return the table of heads, with a link from each to its picture and words."""
    return re.sub(r"^\| `(\w+)` ", r"| [`\1`](#\1) ", heads.table(), flags=re.MULTILINE)


def margin_sections(_: str) -> str:
    """Return a section for each margin: its curve, formula, numbers and source."""
    return "\n\n".join(_margin(name, kind) for name, kind in MARGINS.items())


def _margin(name: str, kind: type[Margin]) -> str:
    margin = kind()
    numbers = ", ".join(f"`{n}={getattr(margin, n):g}`" for n in kind.numbers())
    rows = {
        "target's cosine": f"**{margin.formula()}**",
        "other cosines": margin.others_formula(),
        "loss": margin.loss_words(),
        "numbers": numbers or "none",
        "default scale": _scale(margin),
        "paper": margin.paper,
        "class": f"[`{kind.__name__}`][nfml_jax.heads.{kind.__name__}]",
    }
    table = "\n".join(
        ["| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows.items())]
    )
    curve = figure(f"img/margins/{name}", f"The target logit of {name}")
    parts = [
        f"### `{name}` {{ #{name} }}",
        '<div class="margin" markdown>',
        curve,
        "<div markdown>",
        _words(kind),
        table,
        "</div>",
        "</div>",
    ]
    return "\n\n".join(parts)


def _words(kind: type) -> str:
    """Return what a docstring says before its arguments and examples."""
    text = re.split(r"\n *(?:>>>|Attributes:|Args:)", inspect.getdoc(kind) or "")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _scale(margin) -> str:
    if margin.finds_scale:
        return "computed from the batch"
    scale = margin.own_scale(10)
    return (
        "none: embeddings keep their norm" if scale is None else f"{float(scale):.4g}"
    )


def maps_table(title: str) -> str:
    """Return one of the tables of `nfml maps`: bijector, transform or recipe."""
    for table in maps.table().split("\n\n"):
        if table.startswith(f"| {title} "):
            return table
    raise SystemExit(f"nfml maps prints no table of {title!r}.")


def results(arguments: str) -> str:
    """Return the command and the table of `nfml results ARGUMENTS`."""
    text = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(text):
        if results_command.main(shlex.split(arguments)):
            raise SystemExit(f"nfml results {arguments} failed.")
    return f"{_command(f'python -m nfml_jax results {arguments}')}\n\n{text.getvalue()}"


def _command(command: str) -> str:
    """Return a command, folded away."""
    command = " ".join(command.split())
    title = '??? command "The command that makes this table"'
    return f"{title}\n\n    ```bash\n    {command}\n    ```\n"


def with_commands_apart(markdown: str) -> str:
    """Return a page of results with the command of each table folded away."""
    return BY_COMMAND.sub(lambda m: f":\n\n{_command(m[1])}\n", markdown)


def source_file(name: str) -> str:
    """Return a file of the repository as a block of code."""
    path = ROOT / name
    return f'```python title="{name}"\n{path.read_text().rstrip()}\n```'


def picture(arguments: str) -> str:
    """Return a figure with a caption: `{{ picture STEM | CAPTION }}`."""
    stem, _, words = arguments.partition("|")
    words = words.strip()
    plain = html.escape(re.sub(r"[*`$]", "", words))
    return (
        f"<figure markdown>\n{figure(stem.strip(), plain)}\n"
        f"<figcaption markdown>{words}</figcaption>\n</figure>"
    )


MACROS = {
    "file": source_file,
    "heads": heads_table,
    "losses": lambda _: losses.table(),
    "maps": maps_table,
    "margins": margin_sections,
    "picture": picture,
    "results": results,
}
