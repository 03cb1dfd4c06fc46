"""Images in one folder per class, or a zip of such folders."""

import io
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from nfml_jax.data.arrays import Loaded, Split, stratified, with_every_class
from nfml_jax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".pgm", ".bmp")

# What a folder above the class folders may be called -> what it holds.
PARTS = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
TREE = "root/CLASS/picture.png, or root/train/CLASS/ and root/test/CLASS/"


@dataclass(frozen=True)
class _Tree:
    """Relative paths of files and folders, and how to read a file."""

    files: list[PurePosixPath]
    folders: list[PurePosixPath]
    read: Callable[[PurePosixPath], bytes]


def load_image_folder(
    *, root="", image_size=28, channels: int = 1, test_fraction=0.2, seed: int = 0
) -> Loaded:
    """Images of a folder `root` or a zip of it, by class: `root/CLASS/picture.png`.

    Or of `root/train/CLASS/` and `root/test/CLASS/`, where `val`, `valid` and
    `validation` may stand for `test`, or beside it, and are then what to validate on.
    Without such folders a share `test_fraction` of the images is drawn to test on,
    stratified and keyed by `seed`, but for a class's only image.

    One folder around them all is skipped, as are hidden files. Classes are sorted by
    name. Images are turned as their EXIF data say, made grey (`channels` 1) or coloured
    (3), and resized to `image_size`, a side in pixels or (height, width).

    Raises UserError if there are no two classes of readable images.
    """
    if not str(root):
        raise UserError(
            "root is empty; give data.root=FOLDER or ZIP, as configs/arcface_folder.py "
            "does."
        )
    root = Path(root).expanduser()
    height, width = _size(image_size)
    if channels not in (1, 3):
        raise UserError(f"channels is {channels}; expected 1 (grey) or 3 (colour).")

    def decode(path):
        return _decode(tree.read, path, root, (width, height), channels)

    with _open(root) as tree:
        table = _classes(tree, root)
        names = sorted({label for _, label in table.values()})
        if len(names) < 2:
            raise UserError(
                f"{root} holds {len(names)} class(es) of images; expected two or more, "
                f"as in {TREE}."
            )
        with ThreadPoolExecutor() as pool:
            images = np.stack(list(pool.map(decode, table)))
    number = {name: i for i, name in enumerate(names)}
    parts = np.array([part for part, _ in table.values()])
    labels = np.array([number[label] for _, label in table.values()], np.int32)
    every = Split(images, labels)
    if parts.any():
        rows = {part: np.flatnonzero(parts == part) for part in np.unique(parts)}
        _check_seen(root, names, labels, rows)
    else:
        train, test = _draw(labels, test_fraction, seed)
        rows = {"train": train, "test": test}
    validation = every.take(rows["validation"]) if "validation" in rows else None
    return Loaded(
        f"image_folder:{root.stem}",
        "zip of image folders" if root.is_file() else "image folders",
        tuple(names),
        every.take(rows["train"]),
        every.take(rows["test"]) if "test" in rows else validation,
        validation if "test" in rows else None,
    )


def _check_seen(root, names, labels, rows):
    for part in rows.keys() - {"train"}:
        unseen = np.setdiff1d(labels[rows[part]], labels[rows["train"]])
        if len(unseen):
            raise UserError(
                f"{root} has the class {names[unseen[0]]!r} to test on but not under "
                "train/; every class needs images there."
            )


def _size(image_size) -> tuple[int, int]:
    pair = (image_size, image_size) if np.isscalar(image_size) else tuple(image_size)
    if len(pair) != 2 or any(side != int(side) or side < 1 for side in pair):
        raise UserError(
            f"image_size is {image_size}; expected pixels, or (height, width)."
        )
    return int(pair[0]), int(pair[1])


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


@contextmanager
def _open(root: Path) -> Iterator[_Tree]:
    """Everything under a folder or in a zip but hidden and macOS's own files."""
    if root.is_dir():
        found = {p: PurePosixPath(p.relative_to(root)) for p in root.rglob("*")}
        files = [relative for path, relative in found.items() if path.is_file()]
        folders = [relative for path, relative in found.items() if path.is_dir()]
        yield _tree(files, folders, lambda path: (root / path).read_bytes())
        return
    if not root.is_file():
        raise UserError(f"root {root} does not exist; expected a folder or a zip.")
    try:
        archive = zipfile.ZipFile(root)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{root} is not a zip that can be read ({error}); copy it again."
        ) from error
    with archive:
        entries = archive.infolist()
        files = [PurePosixPath(e.filename) for e in entries if not e.is_dir()]
        folders = [PurePosixPath(e.filename) for e in entries if e.is_dir()]
        folders += [parent for path in files for parent in path.parents]
        yield _tree(files, folders, lambda path: archive.read(str(path)))


def _tree(files, folders, read) -> _Tree:
    def visible(path):
        return not any(p.startswith(".") or p == "__MACOSX" for p in path.parts)

    return _Tree(
        sorted(filter(visible, files)), sorted({*filter(visible, folders)}), read
    )


def _classes(tree: _Tree, root: Path) -> dict[PurePosixPath, tuple[str, str]]:
    """Image path -> (part of `PARTS` or "", class), from where the images lie."""
    images = [path for path in tree.files if path.suffix.lower() in SUFFIXES]
    images = [path for path in images if len(path.parts) > 1]
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
                f"{root} holds {path}, which lies deeper than a class folder; expected "
                f"{TREE}."
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
                f"{root} has no image in the class folder {folder.name!r}; expected "
                f"{', '.join(SUFFIXES)}, or no such folder."
            )
    return table


def _decode(read, path, root, size, channels) -> np.ndarray:
    """One image, uint8 [H, W, C]."""
    from PIL import Image, ImageOps

    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(read(path))))
        if image.mode.startswith("I"):  # 16 bits, which PIL would clip to 8
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("L" if channels == 1 else "RGB")
        image = image.resize(size, Image.Resampling.BILINEAR)
    except Exception as error:  # PIL raises many kinds, by format
        raise UserError(
            f"{root} holds {path}, which cannot be read as an image ({error}); "
            "replace it or take it away."
        ) from error
    return np.asarray(image).reshape(size[1], size[0], channels)
