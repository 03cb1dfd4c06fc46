"""Print the tables of bijectors, transforms and flows as Markdown: `nfml maps`."""

import inspect
import re

from nfml_jax.bijectors import BIJECTORS, DOMAIN_MAPS, IMAGE_BIJECTORS, TRANSFORMS
from nfml_jax.cli.command import command, make_parser
from nfml_jax.flows import RECIPES

# How the docstring of a function begins, which says what it returns.
RETURNS = re.compile(r"^Return (?P<article>an?\b)")


def table() -> str:
    """Return a table of bijectors, of scalar transforms, and of recipes of flows."""
    kinds = {}
    for entry in (*BIJECTORS.values(), *IMAGE_BIJECTORS.values()):
        kinds.setdefault(entry.kind, entry.paper)
    tables = {
        "bijector": [(kind.__name__, kind, paper) for kind, paper in kinds.items()],
        "transform": [
            (name, kind, "") for name, kind in (TRANSFORMS | DOMAIN_MAPS).items()
        ],
        "recipe": [(name, recipe, "") for name, recipe in RECIPES.items()],
    }
    return "\n\n".join(_table(title, rows) for title, rows in tables.items())


def _table(title: str, rows) -> str:
    lines = [f"| {title} | what it is |", "|---|---|"]
    for name, what, paper in rows:
        words = (inspect.getdoc(what) or "").splitlines()[0]
        words = RETURNS.sub(lambda match: match["article"].capitalize(), words)
        # A bar within a cell would end the cell.
        words = words.replace("|", r"\|")
        if paper and paper not in words:
            words = f"{words.rstrip('.')} ({paper})."
        lines.append(f"| `{name}` | {words} |")
    return "\n".join(lines)


@command
def main(arguments=None) -> None:
    """Run the command `nfml maps`."""
    make_parser("maps", __doc__).parse_args(arguments)
    print(table())
