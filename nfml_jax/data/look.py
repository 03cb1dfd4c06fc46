"""The form that pictures are converted to: size, channels, crop and fit."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from nfml_jax.data.decoding import FILMS, eight_bits, on_paper, upright
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up

LARGEST = 32_768
"""The most pixels of a side."""

FITS = ("squeeze", "pad", "crop")
"""Ways in which a picture of other proportions is made to fit."""


@dataclass(frozen=True)
class Look:
    """The crop, the number of channels and the size that pictures are converted to.

    `channels` is 1 (gray) or 3 (color); `crop` is the fraction of either side kept
    around the center before the rest is resized. `fit_by`, one of `FITS`, is the
    treatment of other proportions: a picture is squeezed, padded with its mean color,
    or cropped.
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
        """Return the look of `image_size`: a side in pixels, "HEIGHTxWIDTH" or a pair.

        Raises UserError for a form that no picture can take.
        """
        pair = _sides(image_size)
        if channels not in (1, 3):
            raise UserError(f"channels is {channels}; expected 1 (gray) or 3 (color).")
        if not 0 < crop <= 1:
            raise UserError(f"crop is {crop}; expected a share of the side up to 1.")
        look_up(dict.fromkeys(FITS), fit, "data.fit =")
        return cls(*pair, channels, crop, fit)

    def decode(self, content: bytes) -> np.ndarray:
        """Return a picture file's pixels, uint8 `[height, width, channels]`.

        The picture is turned as its EXIF data say, if these can be read. Of 16 bits the
        upper 8 are taken. Integers of 32 bits range to 255 or 65,535, floats to 1, too:
        to the least of these that none exceeds. Transparent parts become white, or
        black if nothing would be visible on white. Of several frames or pages the first
        is read.
        """
        return self.first_frame(content)[0]

    def first_frame(self, content: bytes) -> tuple[np.ndarray, bool]:
        """Return the pixels of `decode`, and whether the file has further frames."""
        from PIL import Image

        if not content:
            raise ValueError("it is empty")
        image = Image.open(io.BytesIO(content))
        several = image.format in FILMS and getattr(image, "is_animated", False)
        # A JPEG can be decoded at a fraction of its size; twice the needed size
        # suffices.
        least = round(2 * max(self.height, self.width) / self.crop)
        image.draft(self._mode, (least, least))
        image = on_paper(eight_bits(upright(image), image.format))
        return self._fit(image), several

    def fit(self, images: np.ndarray) -> np.ndarray:
        """Return gray images uint8 `[N, H, W]` as `[N, height, width, channels]`."""
        from PIL import Image

        fitted = np.empty(
            (len(images), self.height, self.width, self.channels), np.uint8
        )
        with ThreadPoolExecutor() as pool:
            decoded = pool.map(lambda image: self._fit(Image.fromarray(image)), images)
            for row, pixels in enumerate(decoded):
                fitted[row] = pixels
        return fitted

    @property
    def _mode(self) -> str:
        return "L" if self.channels == 1 else "RGB"

    def _fit(self, image) -> np.ndarray:
        from PIL import Image

        image = image.convert(self._mode)
        seen = self.looked_at(image.size)
        margins = [(side - s) / 2 for side, s in zip(image.size, seen, strict=True)]
        if self.fit_by != "crop":  # rounding as in earlier versions
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
        """Return the width and height of the used part of a picture of `size`."""
        across, down = (side * self.crop for side in size)
        if self.fit_by == "crop":
            scale = min(across / self.width, down / self.height)
            return scale * self.width, scale * self.height
        return across, down

    def _inner(self, across, down) -> tuple[int, int]:
        """Return the width and height that the used part takes up in the result."""
        if self.fit_by != "pad":
            return self.width, self.height
        scale = min(self.width / across, self.height / down)
        return max(1, round(scale * across)), max(1, round(scale * down))


def _sides(image_size) -> tuple[int, int]:
    """Return the height and width in pixels that `image_size` stands for."""
    sides: Any = image_size
    if isinstance(sides, str):
        sides = sides.lower().strip(" ()").replace("x", ",").split(",")
        sides = [side.strip() for side in sides]
        if all(side.isdecimal() for side in sides):
            sides = [int(side) for side in sides]
    elif not isinstance(sides, list | tuple | np.ndarray):
        sides = [sides]
    if len(sides) == 1:
        sides = [*sides, *sides]
    if len(sides) != 2 or not all(
        isinstance(side, int | float | np.number)
        and not isinstance(side, bool)
        and 1 <= side <= LARGEST
        and side == int(side)
        for side in sides
    ):
        raise UserError(
            f"image_size is {image_size}; expected pixels from 1 to {LARGEST:,}, or "
            "HEIGHTxWIDTH such as 48x64."
        )
    height, width = cast("Sequence[float]", sides)
    return int(height), int(width)
