"""Decide whether two pictures show the same class: `nfml verify RUN A B`.

A picture should show one face (or another object like those trained on), at the same
size and place as in the training pictures. Faces are not searched for, and the result
is undefined for a picture of two.
"""

from pathlib import Path

from nfml_jax.cli.command import command, make_parser
from nfml_jax.loading import load_embedder


@command
def main(arguments=None) -> None:
    """Run the command `nfml verify`."""
    parser = make_parser("verify", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("a", type=Path, help="a picture")
    parser.add_argument("b", type=Path, help="another picture")
    options = parser.parse_args(arguments)
    model = load_embedder(options.run)
    a, b = (model.read(path)[None] for path in (options.a, options.b))
    cosine, same = (values[0] for values in model.verify(a, b))
    verdict = "the same" if same else "not the same"
    print(f"{verdict}: cosine {cosine:.4f}, threshold {model.threshold:.4f}")
