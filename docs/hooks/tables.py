"""Tables that pages ask for by `{{ NAME ARGUMENTS }}`, from registries and runs."""

import contextlib
import html
import importlib
import inspect
import io
import re
import shlex
import textwrap
from pathlib import Path

import api
import sections
from executed import figure

from nfml_jax import bijectors, evaluation, flows
from nfml_jax.bijectors.transforms import DOMAIN_MAPS, TRANSFORMS
from nfml_jax.cli import heads, losses, maps
from nfml_jax.cli import results as results_command
from nfml_jax.data.pixels import PIXEL_DATASETS
from nfml_jax.flows import IMAGE_RECIPES
from nfml_jax.heads import MARGINS
from nfml_jax.losses import LOSSES, MINERS

ROOT = Path(__file__).parents[2]
MACRO = re.compile(r"\{\{ (\w+)(.*?)\}\}")
BY_COMMAND = re.compile(
    r"(?:,?\s+(?:[Bb]y|Table:)\s+|\n\n)"
    r"`(python -m nfml_jax results [^`]+)`[.:]?[ \t]*\n"
)


def expanded(markdown: str) -> str:
    """Return the Markdown of a page with its macros expanded."""
    return MACRO.sub(lambda m: MACROS[m[1]](m[2].strip()), markdown)


def heads_table(_: str) -> str:
    """Return the table of heads, each linked to its section."""
    return re.sub(r"^\| `(\w+)` ", r"| [`\1`](#\1) ", heads.table(), flags=re.MULTILINE)


def losses_table(_: str) -> str:
    """Return the table of losses, with a link from each to its section."""
    return re.sub(r"^\| `(\w+)` ", r"| [`\1`](#\1) ", losses.table(), flags=re.M)


def maps_table(title: str) -> str:
    """Return one of the tables of `nfml maps`: bijector, transform or recipe."""
    for table in maps.table().split("\n\n"):
        if table.startswith(f"| {title} "):
            owner = flows if title == "recipe" else bijectors
            kinds = {k: v.__name__ for k, v in (TRANSFORMS | DOMAIN_MAPS).items()}
            return _with_links(table, owner, kinds)
    raise SystemExit(f"nfml maps prints no table of {title!r}.")


def _with_links(table: str, owner, names: dict[str, str]) -> str:
    """Return a table whose first column leads to entries of the API.

    Args:
      table: the table.
      owner: the room that exports what the first column names.
      names: the exported names of entries that are listed under another.
    """

    def link(match):
        public = names.get(match[1], match[1])
        if public not in owner.__all__:
            return match[0]
        return f"| [`{match[1]}`][{owner.__name__}.{public}] "

    return re.sub(r"^\| `(\w+)` ", link, table, flags=re.M)


def results(arguments: str) -> str:
    """Return the command and the table of `nfml results ARGUMENTS`."""
    text = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(text):
        if results_command.main(shlex.split(arguments)):
            raise SystemExit(f"nfml results {arguments} failed.")
    return f"{_command(f'python -m nfml_jax results {arguments}')}\n\n{text.getvalue()}"


def _command(command: str) -> str:
    """Return a command in a collapsed block."""
    command = " ".join(command.split())
    title = '??? command "The command that makes this table"'
    return f"{title}\n\n    ```bash\n    {command}\n    ```\n"


def with_commands_apart(markdown: str) -> str:
    """Return a page of results with the command of each table in a collapsed block."""

    def apart(match):
        within = not match[0].startswith("\n\n") and markdown[match.start() - 1] != "."
        return f"{':' if within else ''}\n\n{_command(match[1])}\n"

    return BY_COMMAND.sub(apart, markdown)


def source_file(name: str) -> str:
    """Return a file of the repository as a block of code."""
    path = ROOT / name
    return f'```python title="{name}"\n{path.read_text().rstrip()}\n```'


def picture(arguments: str) -> str:
    """Return a figure with a caption: `{{ picture STEM | CAPTION }}`."""
    stem, _, words = arguments.partition("|")
    words = words.strip()
    plain, stem = html.escape(re.sub(r"[*`$]", "", words)), stem.strip()
    both = f"![{plain}]({stem})" if stem.endswith(".png") else figure(stem, plain)
    return (
        f"<figure markdown>\n{both}\n"
        f"<figcaption markdown>{words}</figcaption>\n</figure>"
    )


def count(what: str) -> str:
    """Return the count of entries of a registry."""
    kinds = {*bijectors.BIJECTORS.values(), *bijectors.IMAGE_BIJECTORS.values()}
    counts = {
        "heads": len(MARGINS),
        "losses": len(LOSSES),
        "bijectors": len({entry.kind for entry in kinds}),
        "recipes": len({*flows.RECIPES, *flows.IMAGE_RECIPES}),
        "evaluation": len(evaluation.__all__),
    }
    return str(counts[what])


def miners(_: str) -> str:
    """Return the table of miners: name, default numbers, and selected pairs."""
    lines = ["| miner | selects |", "|---|---|"]
    for name, kind in MINERS.items():
        lines.append(f"| `{name}` | {_first_line(kind)} |")
    return "\n".join(lines)


def extras(_: str) -> str:
    """Return the table of extras, which is that of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"^\| extra \|.*?(?=\n\n)", text, re.M | re.S)[0]


def numbers(_: str) -> str:
    """Return the table of headline numbers, which is that of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"^\| what \| folder \|.*?(?=\n\n)", text, re.M | re.S)[0]
    return table.replace("results/README.md#", "results/index.md#")


def margin_gallery(_: str) -> str:
    """Return the curve of each margin as a small picture that leads to its section."""
    parts = ['<div class="gallery curves" markdown>']
    for name in MARGINS:
        both = figure(f"img/margins/{name}", f"The target logit of {name}")
        parts.append(
            f"<figure markdown>\n[{both}](#{name})\n"
            f"<figcaption markdown>[`{name}`](#{name})</figcaption>\n</figure>"
        )
    return "\n".join([*parts, "</div>"])


def readme_tabs(arguments: str) -> str:
    """Return blocks of the README as tabs: `TITLE: "WORDS IN THE BLOCK" | ...`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks, tabs = re.findall(r"```python\n.*?```", text, re.DOTALL), []
    for title, words in re.findall(r'([^|:]+): "([^"]+)"', arguments):
        (block,) = [block for block in blocks if words in block]
        tabs.append(f'=== "{title.strip()}"\n\n{textwrap.indent(block, "    ")}')
    return "\n\n".join(tabs)


def room_list(_: str) -> str:
    """Return the table of rooms, each with the first line of its docstring."""
    lines = ["| room | what it holds |", "|---|---|"]
    for room in api.rooms():
        face = importlib.import_module(f"nfml_jax.{room}")
        lines.append(f"| [`{room}`](api/{room}.md) | {_first_line(face)} |")
    return "\n".join(lines)


def _first_line(what) -> str:
    """Return the first line of a docstring, for a cell of a table."""
    return (inspect.getdoc(what) or "").splitlines()[0].replace("|", r"\|")


def flow_gallery(_: str) -> str:
    """Return a picture of the density that each recipe learns, from docs/make.py."""
    parts, folder = ['<div class="gallery" markdown>'], ROOT / "docs/img/flows"
    for path in (folder / f"{name}.png" for name in ("truth", *flows.RECIPES)):
        if not path.exists():  # docs/make.py hasn't drawn it yet
            continue
        name = path.stem
        words = f"[`{name}`][nfml_jax.flows.{name}]" if name in flows.RECIPES else name
        parts.append(
            f"<figure markdown>\n![Density of {name}](img/flows/{path.name})\n"
            f"<figcaption markdown>{words}</figcaption>\n</figure>"
        )
    return "\n".join([*parts, "</div>"])


def image_recipes(_: str) -> str:
    """Return the table of recipes of images."""
    lines = ["| recipe | what it is |", "|---|---|"]
    for name, recipe in IMAGE_RECIPES.items():
        words = _first_line(recipe).removeprefix("Return ").lstrip()
        lines.append(f"| `{name}` | {words[0].upper()}{words[1:]} |")
    return _with_links("\n".join(lines), flows, {})


def pixel_sets(_: str) -> str:
    """Return the names of sets of pictures of levels."""
    return ", ".join(f"`{name}`" for name in PIXEL_DATASETS)


MACROS = {
    "count": count,
    "extras": extras,
    "image_recipes": image_recipes,
    "pixel_sets": pixel_sets,
    "flow_gallery": flow_gallery,
    "miners": miners,
    "readme_tabs": readme_tabs,
    "rooms": room_list,
    "file": source_file,
    "heads": heads_table,
    "losses": losses_table,
    "loss_sections": sections.losses,
    "maps": maps_table,
    "margin_gallery": margin_gallery,
    "margins": sections.margins,
    "numbers": numbers,
    "picture": picture,
    "results": results,
}
