"""The people of a gallery: a folder or archive of their pictures."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from nfml_jax.data.class_folders import part_of
from nfml_jax.data.file_names import readable
from nfml_jax.data.trees import Tree
from nfml_jax.errors import UserError

ENDINGS = re.compile(
    r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$", flags=re.IGNORECASE
)
"""The suffixes of archives, which a packed folder's name lacks."""


def people(tree: Tree) -> dict[PurePosixPath, str]:
    """Return each picture's path with the name of the person that it shows.

    Pictures lie in `NAME/`, or deeper in folders of it, or are called `NAME.jpg`. The
    folder that was packed into an archive is not a person. Warns of a person's folder
    without a picture. Raises UserError if there are no pictures, or if a folder around
    them may be a person as well as the folder of all people.
    """
    pictures = tree.pictures
    if not pictures:
        raise UserError(
            f"{tree.root} holds no picture; expected NAME/picture.jpg or NAME.jpg."
        )
    around = _around(tree.root, pictures)
    named = {path: _name(path.parts[around:]) for path in pictures}
    empty = {
        readable(folder.parts[around])
        for folder in tree.folders
        if len(folder.parts) > around
        and folder.parts[:around] == pictures[0].parts[:around]
    } - {*named.values()}
    if empty:
        some = ", ".join(map(repr, sorted(empty)[:10]))
        warnings.warn(
            f"{tree.root} holds no picture of {some}, who will not be found; add "
            "pictures, or remove the folder.",
            stacklevel=3,
        )
    return named


def _name(parts: Sequence[str]) -> str:
    return readable(parts[0] if len(parts) > 1 else PurePosixPath(parts[0]).stem)


def _around(root: Path, pictures: Sequence[PurePosixPath]) -> int:
    """Return the number of folders around those of all people."""
    inside = [path.parts for path in pictures]
    around = 0
    if root.is_file() and {parts[0] for parts in inside} == {_packed(root)}:
        around, inside = 1, [parts[1:] for parts in inside]
        if any(not parts for parts in inside):  # the picture is called like the archive
            return 0
    tops = {parts[0] for parts in inside}
    deeper = all(len(parts) > 2 for parts in inside)
    if deeper and len(tops) > 1 and None not in map(part_of, tops):
        return around + 1
    if len(tops) > 1 or any(len(parts) == 1 for parts in inside):
        return around
    several = len({parts[1] for parts in inside}) > 1
    archive = root.is_file() and not around
    if archive and deeper and several:
        return 1
    if deeper or (archive and several):
        raise UserError(
            f"{root} holds the one folder {min(tops)!r}, which may be a person or hold "
            "all of them; lay the people's folders or NAME.jpg directly into the "
            "gallery, and a person's pictures directly into NAME/."
        )
    return around


def _packed(root: Path) -> str:
    """Return the name of the folder that an archive was made of."""
    return ENDINGS.sub("", root.name)
