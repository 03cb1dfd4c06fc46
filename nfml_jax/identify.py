"""`python -m nfml_jax.identify RUN GALLERY PROBES...`: who is on a picture.

The gallery is a folder, zip or tar of `NAME/picture.jpg`, several for each name if
there are, or of `NAME.jpg`. A probe less like everyone than the threshold is "unknown".
Pictures should be such as were trained on: see `python -m nfml_jax.verify --help`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from nfml_jax.command import command
from nfml_jax.data.pictures import open_tree
from nfml_jax.errors import UserError
from nfml_jax.evaluation.enrolment import Gallery
from nfml_jax.trained import TrainedEmbedder, load_embedder


@command
def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m nfml_jax.identify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("gallery", type=Path, help="pictures of those to know")
    parser.add_argument("probes", type=Path, nargs="+", help="pictures to name")
    parser.add_argument(
        "--threshold", type=float, help="the least cosine; default: the run's own"
    )
    options = parser.parse_args(arguments)
    model = load_embedder(options.run)
    gallery = enrol(model, options.gallery, options.threshold)
    probes = np.stack([model.read(path) for path in options.probes])
    names, scores = gallery.identify(np.asarray(model.embed(probes)))
    width = max(len(str(path)) for path in options.probes)
    for path, name, score in zip(options.probes, names, scores, strict=True):
        print(f"{path!s:{width}}  {name}  {score:.4f}")
    print(f"{len(gallery.names)} names, threshold {gallery.threshold:.4f}")


def enrol(model: TrainedEmbedder, root: Path, threshold: float | None) -> Gallery:
    """A gallery of the pictures under `root`; UserError if there are none."""
    threshold = model.threshold if threshold is None else threshold
    if threshold is None:
        raise UserError(
            "this run has no threshold of its own, because its data have no pairs or "
            "it wasn't evaluated; give --threshold."
        )
    gallery = Gallery(threshold)
    with open_tree(root) as tree:
        paths = tree.pictures
        if not paths:
            raise UserError(
                f"{root} holds no picture; expected NAME/picture.jpg or NAME.jpg."
            )
        embeddings = np.asarray(model.embed(tree.images(paths, model.look)))
    for path, embedding in zip(paths, embeddings, strict=True):
        name = path.parent.name if len(path.parts) > 1 else path.stem
        gallery.enrol(name, embedding)
    return gallery


if __name__ == "__main__":
    sys.exit(main())
