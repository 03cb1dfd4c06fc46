"""Print the table of losses as Markdown: `nfml losses`."""

from nfml_jax.cli.command import command, make_parser
from nfml_jax.losses import LOSSES, make_loss


def table() -> str:
    """Return a row for each of `LOSSES`, with its default numbers."""
    rows = ["| loss | formula | needs | paper |", "|---|---|---|---|"]
    for name in LOSSES:
        objective = make_loss(num_classes=10, embedding_size=64, name=name)
        # Pair losses are within the objective that drives them all.
        loss = getattr(objective, "loss", objective)
        # A bar within a cell would end the cell.
        formula = loss.formula().replace("|", r"\|")
        rows.append(f"| `{name}` | {formula} | {loss.needs} | {loss.paper} |")
    return "\n".join(rows)


@command
def main(arguments=None) -> None:
    """Run the command `nfml losses`."""
    make_parser("losses", __doc__).parse_args(arguments)
    print(table())
