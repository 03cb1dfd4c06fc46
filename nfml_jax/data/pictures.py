"""Pictures in a folder, a zip or a tar, as arrays of one size."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.names import look_up

FITS = ("squeeze", "pad", "crop")
"""Ways in which a picture of other proportions is made to fit."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".pgm", ".bmp")


@dataclass(frozen=True)
class Look:
    """What a picture becomes: its center, gray or colored, in one size.

    `channels` is 1 (gray) or 3 (color); `crop` is the share of either side kept around
    the center before the rest is resized. `fit_by`, one of `FITS`, says what happens to
    a picture of other proportions: it is squeezed, padded with its mean color, or loses
    what lies beyond.
    """

    height: int
    width: int
    channels: int
    crop: float = 1.0
    fit_by: str = "squeeze"

    @classmethod
    def of(
        cls, image_size, channels: int, crop: float = 1.0, fit: str = "squeeze"
    ) -> "Look":
        """Return the look of `image_size`, a side in pixels, "HEIGHTxWIDTH" or a pair.

        Raises UserError for what no picture can become.
        """
        pair = _sides(image_size)
        if channels not in (1, 3):
            raise UserError(f"channels is {channels}; expected 1 (grey) or 3 (colour).")
        if not 0 < crop <= 1:
            raise UserError(f"crop is {crop}; expected a share of the side up to 1.")
        look_up(dict.fromkeys(FITS), fit, "data.fit =")
        return cls(*pair, channels, crop, fit)

    def decode(self, content: bytes) -> np.ndarray:
        """A picture file's pixels, uint8 `[height, width, channels]`."""
        from PIL import Image, ImageOps

        image = Image.open(io.BytesIO(content))
        # A JPEG can be decoded at a fraction of its size; twice what is needed will do.
        least = round(2 * max(self.height, self.width) / self.crop)
        image.draft(self._mode, (least, least))
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits, which PIL would clip to 8
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return self._fit(image)

    def fit(self, images: np.ndarray) -> np.ndarray:
        """Grey images uint8 `[N, H, W]` as `[N, height, width, channels]`."""
        from PIL import Image

        return _threaded(lambda image: self._fit(Image.fromarray(image)), images, self)

    @property
    def _mode(self) -> str:
        return "L" if self.channels == 1 else "RGB"

    def _fit(self, image) -> np.ndarray:
        from PIL import Image

        image = image.convert(self._mode)
        seen = self.looked_at(image.size)
        margins = [(side - s) / 2 for side, s in zip(image.size, seen, strict=True)]
        if self.fit_by != "crop":  # rounded as ever, so that pixels stay what they were
            margins = [side * (1 - self.crop) / 2 for side in image.size]
        far = [side - m for side, m in zip(image.size, margins, strict=True)]
        box, size = (*margins, *far), self._inner(*seen)
        pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
        pixels = pixels.reshape(*size[::-1], self.channels)
        if size == (self.width, self.height):
            return pixels
        whole = np.empty((self.height, self.width, self.channels), np.uint8)
        whole[:] = np.rint(pixels.mean(axis=(0, 1)))
        top, left = (self.height - size[1]) // 2, (self.width - size[0]) // 2
        whole[top : top + size[1], left : left + size[0]] = pixels
        return whole

    def looked_at(self, size) -> tuple[float, float]:
        """Return the width and height that are seen of a picture's `size`."""
        across, down = (side * self.crop for side in size)
        if self.fit_by == "crop":
            scale = min(across / self.width, down / self.height)
            return scale * self.width, scale * self.height
        return across, down

    def _inner(self, across, down) -> tuple[int, int]:
        """Return the width and height that the seen part takes up of the result."""
        if self.fit_by != "pad":
            return self.width, self.height
        scale = min(self.width / across, self.height / down)
        return max(1, round(scale * across)), max(1, round(scale * down))


def _sides(image_size) -> tuple[int, int]:
    """Return the height and width in pixels that `image_size` stands for."""
    sides = image_size
    if isinstance(sides, str):
        sides = sides.lower().strip(" ()").replace("x", ",").split(",")
        sides = [side.strip() for side in sides]
        if all(side.isdecimal() for side in sides):
            sides = [int(side) for side in sides]
    elif np.isscalar(sides):
        sides = [sides]
    if len(sides) == 1:
        sides = [*sides, *sides]
    if len(sides) != 2 or not all(
        isinstance(side, (int, float, np.number)) and side == int(side) and side >= 1
        for side in sides
    ):
        raise UserError(
            f"image_size is {image_size}; expected pixels, or HEIGHTxWIDTH such as "
            "48x64."
        )
    return int(sides[0]), int(sides[1])


def _threaded(decode, items, look: Look) -> np.ndarray:
    """What `decode` makes of each item, in one array."""
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(decode, items))
    shape = -1, look.height, look.width, look.channels
    return np.array(images, np.uint8).reshape(shape)


def read_picture(path: Path | str, look: Look) -> np.ndarray:
    """One picture file, uint8 `[height, width, channels]`.

    Raises UserError if it cannot be read.
    """
    try:
        return look.decode(Path(path).read_bytes())
    except Exception as error:  # PIL raises many kinds, by format
        raise UserError(
            f"{path} cannot be read as an image ({_reason(error)}); give another file."
        ) from error


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it has the format of none"
    return getattr(error, "strerror", None) or str(error)


def picture_size(path: Path | str) -> tuple[int, int]:
    """The width and height in pixels of a picture file that can be read, upright."""
    from PIL import ExifTags, Image

    with Image.open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size[::-1] if turned else image.size


@dataclass(frozen=True)
class Tree:
    """Relative paths of files and folders, and how to read a file."""

    root: Path
    files: list[PurePosixPath]
    folders: list[PurePosixPath]
    read: Callable[[PurePosixPath], bytes]

    @property
    def pictures(self) -> list[PurePosixPath]:
        """The files with a picture's suffix."""
        return [path for path in self.files if path.suffix.lower() in SUFFIXES]

    def images(self, paths: Iterable[PurePosixPath], look: Look) -> np.ndarray:
        """Pictures decoded, uint8 `[N, height, width, channels]`.

        Raises UserError if one cannot be read.
        """

        def decode(path):
            try:
                return look.decode(self.read(path))
            except Exception as error:  # PIL raises many kinds, by format
                raise UserError(
                    f"{self.root} holds {path}, which cannot be read as an image "
                    f"({_reason(error)}); replace it or take it away."
                ) from error

        return _threaded(decode, paths, look)


@contextmanager
def open_tree(root: Path) -> Iterator[Tree]:
    """Everything in a folder, zip or tar but hidden and macOS's own files.

    Raises UserError if it is none of them.
    """
    if root.is_dir():
        found = {p: PurePosixPath(p.relative_to(root)) for p in root.rglob("*")}
        files = [relative for path, relative in found.items() if path.is_file()]
        folders = [relative for path, relative in found.items() if path.is_dir()]
        yield _tree(root, files, folders, lambda path: (root / path).read_bytes())
        return
    if not root.is_file():
        raise UserError(f"root {root} does not exist; expected a folder or a zip.")
    if tarfile.is_tarfile(root):
        contents = _untar(root)
        files = list(contents)
        yield _tree(root, files, _parents(files), contents.__getitem__)
        return
    try:
        archive = zipfile.ZipFile(root)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"{root} is not a zip that can be read ({error}); copy it again, or give a "
            "folder, zip or tar of pictures."
        ) from error
    with archive:
        entries = archive.infolist()
        files = [PurePosixPath(e.filename) for e in entries if not e.is_dir()]
        folders = [PurePosixPath(e.filename) for e in entries if e.is_dir()]
        folders += _parents(files)
        yield _tree(root, files, folders, lambda path: archive.read(str(path)))


def _untar(root: Path) -> dict[PurePosixPath, bytes]:
    """All files: a compressed tar can be read quickly only from beginning to end."""
    try:
        with tarfile.open(root) as archive:
            return {
                PurePosixPath(member.name): archive.extractfile(member).read()
                for member in archive
                if member.isfile()
            }
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UserError(
            f"{root} is not a tar that can be read ({error}); copy it again."
        ) from error


def _parents(files):
    return [parent for path in files for parent in path.parents]


def _tree(root, files, folders, read) -> Tree:
    def visible(path):
        return not any(p.startswith(".") or p == "__MACOSX" for p in path.parts)

    return Tree(
        root, sorted(filter(visible, files)), sorted({*filter(visible, folders)}), read
    )
