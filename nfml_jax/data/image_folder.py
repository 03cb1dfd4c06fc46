"""Images in one folder per class, or a zip or tar of such folders."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.class_choice import choose_classes, chosen_classes, in_words
from nfml_jax.data.class_folders import TREE, by_folder
from nfml_jax.data.class_splits import arrange
from nfml_jax.data.draws import stratified, with_every_class
from nfml_jax.data.file_names import readable
from nfml_jax.data.label_table import by_table
from nfml_jax.data.look import Look
from nfml_jax.data.stored import StoredImages
from nfml_jax.data.trees import Tree, open_tree
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_number


def load_image_folder(
    *,
    root=None,
    labels=None,
    image_size=28,
    channels: int = 1,
    fit: str = "squeeze",
    test_fraction=0.2,
    classes=(),
    held_out=(),
    seed: int = 0,
    stream: bool = False,
    workers: int = 0,
) -> Loaded:
    """Load images of a folder `root`, or a zip or tar of it: `root/CLASS/picture.png`.

    Alternatively the images lie in `root/train/CLASS/` and `root/test/CLASS/`. The
    names `val`, `valid` and `validation` may stand for `test`; beside it, they are the
    validation part. Without such folders a fraction `test_fraction` of the images is
    drawn for the test, stratified and keyed by `seed`, but never a class's only image.
    The classes of the test are those under `train/`, or else all of them are unseen.

    `classes` and `held_out` are those of `nfml_jax.data.load`. If no part is given, all
    images of the classes held out are tested on, and all of the others trained on.

    A table `labels` (columns path, label and perhaps split) replaces the class folders;
    see `nfml_jax.data.label_table.by_table`.

    Every format that Pillow reads is read, through links, too. Folders around all
    classes are skipped, as are hidden files. What is left out is counted in the header
    of a run and in its result. Classes are sorted by name, with the Unicode forms of a
    name unified. `nfml_jax.data.look.Look.decode` describes the treatment of EXIF
    data, depth and transparency. Images are made gray (`channels` 1) or colored (3),
    and resized to `image_size`, a side in pixels or (height, width). `fit` is the
    treatment of other proportions: "squeeze", "pad" with the mean color, or "crop".

    With `stream` images stay in the folder, which may be larger than memory, and are
    read when they are needed, for training by `workers` processes, or 0: by threads.

    Raises UserError if there are no two classes of readable images.
    """
    if root is None or not str(root):
        raise UserError(
            "root is empty; give data.root=FOLDER or ZIP, as configs/folder.py does."
        )
    root = Path(root).expanduser()
    look = Look.of(image_size, channels, fit=fit)
    with open_tree(root) as tree:
        table = by_table(tree, labels) if labels else by_folder(tree)
        names = sorted({label for _, label in table.values()})
        if len(names) < 2:
            words = tree.unread.words()
            raise UserError(
                f"{root} holds {len(names)} class(es) of images"
                f"{f' ({words})' if words else ''}; expected two or more, as in "
                f"{TREE}."
            )
        read = partial(_stored, workers=workers) if stream else Tree.images
        images = read(tree, table, look)
    number = {name: i for i, name in enumerate(names)}
    parts = np.array([part for part, _ in table.values()])
    numbers = np.array([number[label] for _, label in table.values()], np.int32)
    every = Split(cast(np.ndarray, images), numbers)  # or like an array
    rows = {part: np.flatnonzero(parts == part) for part in np.unique(parts)}
    if "test" not in rows and "validation" in rows:
        rows["test"] = rows.pop("validation")
    what = f"image_folder:{readable(root.stem)}"
    source = _source(root, labels)
    drawn = "test" not in rows
    chosen = drawn and np.size(held_out)
    if chosen:
        trained, tested = chosen_classes(names, classes, held_out, seed, what)
        rows = {"train": np.arange(len(numbers)), "test": np.arange(len(numbers))}
        kinds = {"train": trained, "test": tested}
        source += f", {in_words(names, trained, tested)}"
    else:
        if drawn:
            train, test = _draw(numbers, test_fraction, seed)
            rows = {"train": train, "test": test}
        kinds = {part: np.unique(numbers[chosen]) for part, chosen in rows.items()}
        _check_seen(root, names, kinds)
    loaded = Loaded(
        what,
        source,
        **arrange(names, **{p: (every.take(rows[p]), kinds[p]) for p in rows}),
        unread=tree.unread,
    )
    return loaded if chosen else choose_classes(loaded, classes, held_out, seed)


def _source(root: Path, labels) -> str:
    """Return the source of the images, in words."""
    words = "zip of image folders" if root.is_file() else "image folders"
    return f"{words}, labels of {readable(Path(labels).name)}" if labels else words


def _stored(tree, paths, look, workers):
    """Return images that stay in a folder."""
    if not tree.root.is_dir():
        raise UserError(
            f"data.stream reads from a folder, and {tree.root} is none; unpack it, or "
            "set data.stream to False."
        )
    if workers < 0:
        raise UserError(f"data.workers is {workers}; expected 0 or more.")
    return StoredImages(tree.root, paths, look, workers)


def _check_seen(root, names, classes):
    """Raise UserError for parts that neither share their classes nor have others."""
    if len(classes.get("train", ())) < 2:
        raise UserError(
            f"{root} has {len(classes.get('train', ()))} class(es) to train on; "
            "expected two or more."
        )
    for part in classes.keys() - {"train"}:
        unseen = np.setdiff1d(classes[part], classes["train"])
        if 0 < len(unseen) < len(classes[part]):
            raise UserError(
                f"{root} has the class {names[unseen[0]]!r} to test on but not under "
                "train/; every class needs images to train on, or none of those tested "
                "on."
            )


def _draw(labels, test_fraction, seed):
    """Return drawn indices to train on and to test on."""
    check_number("data", above=0, below=1, test_fraction=test_fraction)
    count = max(1, round(test_fraction * len(labels)))
    test, train = stratified(labels, count, seed)
    train, test = with_every_class(labels, train, test)
    if not len(test):
        raise UserError(
            f"test_fraction is {test_fraction}, but no class has a second image to "
            "test on; add images, or give train/ and test/ folders."
        )
    return train, test
