"""Print the table of margin heads as Markdown: `nfml heads`."""

from nfml_jax.cli.command import command, make_parser
from nfml_jax.heads import MARGINS, Margin

NORMALIZED = {
    (True, True): "both",
    (True, False): "embeddings",
    (False, True): "weights",
    (False, False): "neither",
}


def table() -> str:
    """Return a row for each of `MARGINS`, with its default numbers."""
    rows = [
        "| head | target's cosine becomes | normalized | and | paper |",
        "|---|---|---|---|---|",
    ]
    for name, kind in MARGINS.items():
        margin = kind()
        normalized = NORMALIZED[margin.normalize_embeddings, margin.normalize_weights]
        cells = margin.formula(), normalized, _more(margin), margin.paper
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _more(margin: Margin) -> str:
    """Return the differences from softmax with a margin on the target class alone."""
    words = []
    if margin.loss_words() != Margin().loss_words():
        words.append(margin.loss_words())
    if margin.others_formula() != Margin().others_formula():
        words.append(f"others {margin.others_formula()}")
    return "; ".join(filter(None, [*words, margin.options()]))


@command
def main(arguments=None) -> None:
    """Run the command `nfml heads`."""
    make_parser("heads", __doc__).parse_args(arguments)
    print(table())
