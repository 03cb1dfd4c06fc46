"""Print the table of margin heads as Markdown: `python -m nfml_jax heads`."""

from nfml_jax.cli.command import command, make_parser
from nfml_jax.heads import MARGINS, Margin

NORMALISED = {
    (True, True): "both",
    (True, False): "embeddings",
    (False, True): "weights",
    (False, False): "neither",
}


def table() -> str:
    """Return a row for each of `MARGINS`, with its default numbers."""
    rows = [
        "| head | target's cosine becomes | normalised | and | paper |",
        "|---|---|---|---|---|",
    ]
    for name, kind in MARGINS.items():
        margin = kind()
        normalised = NORMALISED[margin.normalise_embeddings, margin.normalise_weights]
        cells = margin.formula(), normalised, _more(margin), margin.paper
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _more(margin: Margin) -> str:
    """What else is unlike a softmax with a margin on the right class alone."""
    words = []
    if margin.loss_words() != Margin().loss_words():
        words.append(margin.loss_words())
    if margin.others_formula() != Margin().others_formula():
        words.append(f"others {margin.others_formula()}")
    return "; ".join(filter(None, [*words, margin.options()]))


@command
def main(arguments=None) -> None:
    make_parser("nfml_jax.heads", __doc__).parse_args(arguments)
    print(table())
