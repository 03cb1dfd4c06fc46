"""Images in one folder per class, or a zip of such folders."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from nfml_jax.data.arrays import Loaded, Split, stratified
from nfml_jax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".pgm", ".bmp")


@dataclass(frozen=True)
class _Tree:
    """Relative paths of files and folders, and how to read a file."""

    files: list[PurePosixPath]
    folders: list[PurePosixPath]
    read: Callable[[PurePosixPath], bytes]


def load_image_folder(
    *,
    root,
    image_size=28,
    channels: int = 1,
    test_fraction: float = 0.2,
    min_images: int = 1,
    seed: int = 0,
) -> Loaded:
    """Images of ``root/CLASS/``, or of ``root/train/CLASS/`` and ``root/test/CLASS/``.

    One folder around them all is skipped, as are hidden files. Classes are sorted by
    name. Without train and test folders the split is stratified and keyed by ``seed``.

    Args:
        root: the folder, or a zip of it.
        image_size: side in pixels, or (height, width), that all are resized to.
        channels: 1 for grey, 3 for colour.
        test_fraction: share of the images to test on, if the folders do not say.
        min_images: leave out classes with fewer images than this.
        seed: of the split.

    Raises:
        UserError: if there are no two classes of readable images.
    """
    root = Path(root).expanduser()
    height, width = _size(image_size)
    if channels not in (1, 3):
        raise UserError(f"channels is {channels}; expected 1 (grey) or 3 (colour).")
    tree = _open(root)
    table = _classes(tree, root)
    counts = Counter(label for _, label in table.values())
    names = sorted(name for name, count in counts.items() if count >= min_images)
    if len(names) < 2:
        raise UserError(
            f"{root} holds {len(names)} class(es) of at least {min_images} image(s); "
            f"expected two or more, as in {root.name}/CLASS/picture.png."
        )
    number = {name: i for i, name in enumerate(names)}
    paths = [path for path, (_, label) in table.items() if label in number]

    def decode(path):
        return _decode(tree.read, path, root, (width, height), channels)

    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(decode, paths)))
    labels = np.array([number[table[path][1]] for path in paths], np.int32)
    both = Split(images, labels)
    is_test = np.array([table[path][0] == "test" for path in paths])
    if is_test.any():
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        unseen = sorted(set(labels[test]) - set(labels[train]))
        if unseen:
            raise UserError(
                f"{root} has the class {names[unseen[0]]!r} only under test/; "
                "every class needs images under train/."
            )
    else:
        train, test = _draw(labels, test_fraction, seed)
    return Loaded(
        f"image_folder:{root.stem}",
        "zip of image folders" if root.is_file() else "image folders",
        tuple(names),
        both.take(train),
        both.take(test),
    )


def _size(image_size) -> tuple[int, int]:
    pair = (image_size, image_size) if np.isscalar(image_size) else tuple(image_size)
    if len(pair) != 2 or any(side != int(side) or side < 1 for side in pair):
        raise UserError(
            f"image_size is {image_size}; expected pixels, or (height, width)."
        )
    return int(pair[0]), int(pair[1])


def _draw(labels, test_fraction, seed):
    count = round(test_fraction * len(labels))
    if not 0 < count < len(labels):
        raise UserError(
            f"test_fraction {test_fraction} of {len(labels)} images leaves nothing to "
            "train or to test on; expected a fraction between 0 and 1."
        )
    test, train = stratified(labels, count, seed)
    # The only image of a class is of use for training, not for a test.
    alone = ~np.isin(labels[test], labels[train])
    return np.sort(np.r_[train, test[alone]]), test[~alone]


def _open(root: Path) -> _Tree:
    """Everything under a folder or in a zip but hidden and macOS's own files."""
    if root.is_dir():
        found = {p: PurePosixPath(p.relative_to(root)) for p in root.rglob("*")}
        files = [relative for path, relative in found.items() if path.is_file()]
        folders = [relative for path, relative in found.items() if path.is_dir()]
        return _tree(files, folders, lambda path: (root / path).read_bytes())
    if not root.is_file():
        raise UserError(f"root {root} does not exist; expected a folder or a zip.")
    try:
        archive = zipfile.ZipFile(root)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{root} is not a zip that can be read ({error}); copy it again."
        ) from error
    files = [PurePosixPath(e.filename) for e in archive.infolist() if not e.is_dir()]
    folders = [PurePosixPath(e.filename) for e in archive.infolist() if e.is_dir()]
    folders += [parent for path in files for parent in path.parents]
    return _tree(files, folders, lambda path: archive.read(str(path)))


def _tree(files, folders, read) -> _Tree:
    def visible(path):
        return not any(p.startswith(".") or p == "__MACOSX" for p in path.parts)

    return _Tree(
        sorted(filter(visible, files)), sorted({*filter(visible, folders)}), read
    )


def _classes(tree: _Tree, root: Path) -> dict[PurePosixPath, tuple[str, str]]:
    """Image path -> ("train", "test" or "", class), from where the images lie."""
    images = [path for path in tree.files if path.suffix.lower() in SUFFIXES]
    images = [path for path in images if len(path.parts) > 1]
    tops = {path.parts[0] for path in images}
    wrapped = len(tops) == 1 and all(len(path.parts) > 2 for path in images)
    skip = 1 if wrapped else 0
    split = {path.parts[skip] for path in images} == {"train", "test"}
    depth = skip + 1 if split else skip

    def place(path):
        return path.parts[skip] if split else "", path.parts[depth]

    table = {path: place(path) for path in images if len(path.parts) > depth + 1}
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
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(read(path)))
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
