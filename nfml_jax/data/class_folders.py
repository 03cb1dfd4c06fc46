"""Classes and parts of pictures, given by the folders that they lie in."""

from pathlib import PurePosixPath

from nfml_jax.data.file_names import readable
from nfml_jax.data.trees import Tree
from nfml_jax.data.unread import NO_PICTURES, OUTSIDE
from nfml_jax.errors import UserError

# Names of the folder of a part, in any case -> the part.
PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
}
TREE = "root/CLASS/picture.png, or root/train/CLASS/ and root/test/CLASS/"


def part_of(name: str) -> str | None:
    """Return the part that a name means, such as "train", or None."""
    return PARTS.get(name.strip().casefold())


def by_folder(tree: Tree) -> dict[PurePosixPath, tuple[str, str]]:
    """Return the part ("" if there are none) and the class of each picture by its path.

    Folders around all class folders are skipped. Pictures beside the class folders are
    left out and counted, as those of a test folder without classes are.

    Raises UserError for a picture in a folder below a class folder, and for a class
    folder without a picture.
    """
    pictures = tree.pictures
    skip = _around(pictures)
    images = [path for path in pictures if len(path.parts) > skip + 1]
    above = {path.parts[skip] for path in images}
    parts = {name: part_of(name) for name in above}
    split = None not in parts.values() and {"train"} < {*parts.values()}
    depth = skip + split

    def place(path):
        part = parts[path.parts[skip]] if split else ""
        return part, readable(path.parts[depth])

    table = {}
    for path in pictures:
        if len(path.parts) > depth + 2:
            raise UserError(
                f"{tree.root} holds {path}, which lies deeper than a class folder; "
                f"expected {TREE}, or a table of labels as data.labels."
            )
        if len(path.parts) == depth + 2:
            table[path] = place(path)
    tree.unread.add_suffixes(NO_PICTURES, tree.others)
    tree.unread.add_suffixes(OUTSIDE, [path for path in pictures if path not in table])
    if table:
        around = next(iter(table)).parts[:skip]
        _check_filled(tree, around, {path.parent for path in table}, split)
    return table


def _around(pictures) -> int:
    """Return the number of folders around all class folders.

    A folder is around them if all pictures in folders lie in it, and some deeper.
    """
    skip = 0
    while True:
        inside = [path for path in pictures if len(path.parts) > skip + 1]
        tops = {path.parts[skip] for path in inside}
        if len(tops) != 1 or all(len(path.parts) == skip + 2 for path in inside):
            return skip
        skip += 1


def _check_filled(tree: Tree, around, filled, split: bool) -> None:
    """Raise UserError for a class folder without a picture."""
    depth = len(around) + split
    for folder in tree.folders:
        if (
            len(folder.parts) != depth + 1
            or folder.parts[: len(around)] != around
            or folder in filled
            or (split and part_of(folder.parts[depth - 1]) is None)
        ):
            continue
        held = [path for path in tree.files if folder in path.parents]
        raise UserError(
            f"{tree.root} has no image in the class folder {folder.name!r}"
            f"{_held(held)}; put pictures there, or remove the folder."
        )


def _held(files) -> str:
    """Return ", but 12 other files such as a.txt", or "" for none."""
    if not files:
        return ""
    return f", but {len(files):,} other file(s), such as {files[0].name}"
