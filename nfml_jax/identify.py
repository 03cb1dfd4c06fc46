"""`python -m nfml_jax.identify RUN GALLERY PROBES...`: who is on a picture.

The gallery is a folder of `NAME/picture.jpg`, several for each name if there are, or of
`NAME.jpg`, or a zip or tar of these, or of a folder that is called like it. A probe
less like everyone than the threshold is "unknown".
Pictures should be such as were trained on: see `python -m nfml_jax.verify --help`.
"""

import sys
from pathlib import Path, PurePosixPath

import numpy as np

from nfml_jax.command import command, make_parser
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError
from nfml_jax.evaluation.enrolment import Gallery
from nfml_jax.loading import load_embedder
from nfml_jax.trained import TrainedEmbedder


@command
def main(arguments=None) -> None:
    parser = make_parser("nfml_jax.identify", __doc__)
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
    wide = max(len(str(path)) for path in options.probes), max(map(len, names))
    for path, name, score in zip(options.probes, names, scores, strict=True):
        print(f"{path!s:{wide[0]}}  {name:{wide[1]}}  cosine {score:.4f}")
    print(f"{len(gallery.names)} names enrolled, threshold {gallery.threshold:.4f}")


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
        gallery.enrol(_name_of(path, root), embedding)
    return gallery


def _name_of(path: PurePosixPath, root: Path) -> str:
    """The name of a picture's folder, or its own where it lies in none."""
    # The folder that was packed is nobody's.
    packed = root.is_file() and path.parent.parts == (root.name.split(".")[0],)
    return path.stem if packed or path.parent.parts == () else path.parent.name


if __name__ == "__main__":
    sys.exit(main())
