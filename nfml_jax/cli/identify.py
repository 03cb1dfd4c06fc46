"""Identify people in pictures: `nfml identify RUN GALLERY PROBES...`.

The gallery is a folder of `NAME/picture.jpg` (several pictures for each name, and
subfolders, are allowed), or of `NAME.jpg`, or a zip or tar of these, or of one folder
of these. A probe whose best cosine is below the threshold is "unknown". `--fpir 0.01`
chooses the threshold at which one unknown person in a hundred gets a name, by pictures
of the run's data that show nobody in the gallery. A folder of probes stands for its
pictures. Pictures should be like those trained on: see `nfml verify --help`.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser
from nfml_jax.data import ImageData
from nfml_jax.data.file_names import one_line
from nfml_jax.data.galleries import people
from nfml_jax.data.repeats import faults_of_gallery
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError
from nfml_jax.evaluation.gallery import Gallery
from nfml_jax.loading import data_of, load_embedder
from nfml_jax.loading.embedders import TrainedEmbedder


@command
def main(arguments=None) -> None:
    """Run the command `nfml identify`."""
    parser = make_parser("identify", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("gallery", type=Path, help="pictures of known people")
    parser.add_argument("probes", type=Path, nargs="+", help="pictures to identify")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--threshold", type=float, help="the least cosine; default: the run's own"
    )
    choice.add_argument(
        "--fpir",
        type=float,
        help="the fraction of unknown people who may get a name, such as 0.01",
    )
    options = parser.parse_args(arguments)
    probes = _pictures(options.probes)
    model = load_embedder(options.run)
    # Replaced below, once the enrolled people are known.
    asked = NOBODY if options.fpir is not None else options.threshold
    gallery = enroll(model, options.gallery, asked)
    if options.fpir is not None:
        unknown = unknown_people(data_of(options.run), gallery.names)
        embeddings = np.asarray(model.embed(unknown))
        gallery.threshold = gallery.threshold_at_fpir(embeddings, options.fpir)
    pixels = np.stack([model.read(path) for path in probes])
    names, scores = gallery.identify(np.asarray(model.embed(pixels)))
    paths, names = ([*map(one_line, map(str, x))] for x in (probes, names))
    wide = max(map(len, paths)), max(map(len, names))
    for path, name, score in zip(paths, names, scores, strict=True):
        print(f"{path:{wide[0]}}  {name:{wide[1]}}  cosine {score:.4f}")
    print(f"{len(gallery.names)} names enrolled, threshold {gallery.threshold:.4f}")


NOBODY = 1.0


def _pictures(paths: list[Path]) -> list[Path]:
    """Return the files of probes; a folder stands for the pictures in it."""
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        with open_tree(path) as tree:
            found += [path / picture for picture in tree.pictures]
    if not found:
        raise UserError(
            f"{paths[0]} holds no picture to identify; give picture files, or a folder "
            "of pictures."
        )
    return found


def enroll(model: TrainedEmbedder, root: Path, threshold: float | None) -> Gallery:
    """Return a gallery of the pictures under `root`.

    Raises UserError if there are none, or if their names don't say whose they are.
    """
    threshold = model.threshold if threshold is None else threshold
    if threshold is None:
        raise UserError(
            "this run has no threshold of its own, because its data have no pairs or "
            "it wasn't evaluated; give --threshold or --fpir."
        )
    gallery = Gallery(threshold)
    with open_tree(root) as tree:
        named = people(tree)
        images = tree.images([*named], model.look)
    for fault in faults_of_gallery(images, [*named.values()]):
        warnings.warn(fault, stacklevel=2)
    embeddings = np.asarray(model.embed(images))
    for name, embedding in zip(named.values(), embeddings, strict=True):
        gallery.enroll(name, embedding)
    return gallery


def unknown_people(data: ImageData, enrolled: Iterable[str]) -> np.ndarray:
    """Return pictures of a run's data that show people who are not enrolled.

    They show people that the run didn't train on, if its validation or test data have
    some; else they are any validation or test pictures. Raises UserError if everybody
    is enrolled.
    """
    parts = [part for part in (data.validation, data.test) if part is not None]
    known = np.isin(data.label_names, [*enrolled])
    choices = [part.images[~known[part.labels]] for part in parts]
    unseen = [
        part.images[~known[part.labels] & (part.labels >= data.num_classes)]
        for part in parts
    ]
    for images in (*unseen, *choices):
        if len(images):
            return images
    raise UserError(
        f"all people of {data.name} are enrolled, so no picture shows an unknown one; "
        "give --threshold."
    )
