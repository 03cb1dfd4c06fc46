"""Images in one folder per class, or a zip or tar of such folders."""

from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from nfml_jax.data.arrays import Loaded, Split, stratified, with_every_class
from nfml_jax.data.class_splits import arrange
from nfml_jax.data.pictures import SUFFIXES, Look, Tree, open_tree
from nfml_jax.data.stored import StoredImages
from nfml_jax.errors import UserError

# What a folder above the class folders may be called -> what it holds.
PARTS = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
TREE = "root/CLASS/picture.png, or root/train/CLASS/ and root/test/CLASS/"


def load_image_folder(
    *,
    root="",
    image_size=28,
    channels: int = 1,
    fit: str = "squeeze",
    test_fraction=0.2,
    seed: int = 0,
    stream: bool = False,
    workers: int = 0,
) -> Loaded:
    """Images of a folder `root` or a zip of it, by class: `root/CLASS/picture.png`.

    Or of `root/train/CLASS/` and `root/test/CLASS/`, where `val`, `valid` and
    `validation` may stand for `test`, or beside it, and are then what to validate on.
    Without such folders a share `test_fraction` of the images is drawn to test on,
    stratified and keyed by `seed`, but for a class's only image. The classes to test on
    are those under `train/`, or all of them others, unseen.

    One folder around them all is skipped, as are hidden files. Classes are sorted by
    name. Images are turned as their EXIF data say, made grey (`channels` 1) or coloured
    (3), and resized to `image_size`, a side in pixels or (height, width). `fit` says
    what happens to other proportions: "squeeze", "pad" with the mean color, or "crop".

    With `stream` they stay in the folder, which may be larger than memory, and are read
    when they are needed, for training by `workers` processes, or 0: by threads.

    Raises UserError if there are no two classes of readable images.
    """
    if not str(root):
        raise UserError(
            "root is empty; give data.root=FOLDER or ZIP, as configs/folder.py does."
        )
    root = Path(root).expanduser()
    look = Look.of(image_size, channels, fit=fit)
    with open_tree(root) as tree:
        table = _classes(tree)
        names = sorted({label for _, label in table.values()})
        if len(names) < 2:
            raise UserError(
                f"{root} holds {len(names)} class(es) of images; expected two or more, "
                f"as in {TREE}."
            )
        read = partial(_stored, workers=workers) if stream else Tree.images
        images = read(tree, table, look)
    number = {name: i for i, name in enumerate(names)}
    parts = np.array([part for part, _ in table.values()])
    labels = np.array([number[label] for _, label in table.values()], np.int32)
    every = Split(images, labels)
    if parts.any():
        rows = {part: np.flatnonzero(parts == part) for part in np.unique(parts)}
        if "test" not in rows:
            rows["test"] = rows.pop("validation")
    else:
        train, test = _draw(labels, test_fraction, seed)
        rows = {"train": train, "test": test}
    classes = {part: np.unique(labels[chosen]) for part, chosen in rows.items()}
    _check_seen(root, names, classes)
    return Loaded(
        f"image_folder:{root.stem}",
        "zip of image folders" if root.is_file() else "image folders",
        **arrange(names, **{p: (every.take(rows[p]), classes[p]) for p in rows}),
    )


def _stored(tree, paths, look, workers):
    if not tree.root.is_dir():
        raise UserError(
            f"data.stream reads from a folder, and {tree.root} is none; unpack it, or "
            "set data.stream to False."
        )
    if workers < 0:
        raise UserError(f"data.workers is {workers}; expected 0 or more.")
    return StoredImages(tree.root, paths, look, workers)


def _check_seen(root, names, classes):
    for part in classes.keys() - {"train"}:
        unseen = np.setdiff1d(classes[part], classes["train"])
        if 0 < len(unseen) < len(classes[part]):
            raise UserError(
                f"{root} has the class {names[unseen[0]]!r} to test on but not under "
                "train/; every class needs images there, or none of those tested on."
            )


def _draw(labels, test_fraction, seed):
    """Indices to train on and to test on."""
    if not 0 < test_fraction < 1:
        raise UserError(
            f"test_fraction is {test_fraction}; expected a fraction between 0 and 1."
        )
    count = max(1, round(test_fraction * len(labels)))
    test, train = stratified(labels, count, seed)
    train, test = with_every_class(labels, train, test)
    if not len(test):
        raise UserError(
            f"test_fraction is {test_fraction}, but no class has a second image to "
            "test on; add images, or give train/ and test/ folders."
        )
    return train, test


def _classes(tree: Tree) -> dict[PurePosixPath, tuple[str, str]]:
    """Image path -> (part of `PARTS` or "", class), from where the images lie."""
    images = [path for path in tree.pictures if len(path.parts) > 1]
    tops = {path.parts[0] for path in images}
    wrapped = len(tops) == 1 and all(len(path.parts) > 2 for path in images)
    skip = 1 if wrapped else 0
    above = {path.parts[skip] for path in images}
    split = {"train"} < above <= PARTS.keys()
    depth = skip + split

    def place(path):
        return PARTS.get(path.parts[skip], "") if split else "", path.parts[depth]

    table = {}
    for path in images:
        if len(path.parts) > depth + 2:
            raise UserError(
                f"{tree.root} holds {path}, which lies deeper than a class folder; "
                f"expected {TREE}."
            )
        if len(path.parts) == depth + 2:
            table[path] = place(path)
    filled = set(table.values())
    for folder in tree.folders:
        is_class = len(folder.parts) == depth + 1 and (
            not wrapped or folder.parts[0] in tops
        )
        if table and is_class and place(folder) not in filled:
            raise UserError(
                f"{tree.root} has no image in the class folder {folder.name!r}; "
                f"expected {', '.join(SUFFIXES)}, or no such folder."
            )
    return table
