"""Conversion of Pillow images of any format and mode to upright, opaque 8-bit ones."""

from functools import cache
from pathlib import PurePath

import numpy as np

# Formats whose further frames are a film or pages; those of other formats are previews
# of the first one, other sizes of it, or its layers.
FILMS = ("GIF", "TIFF", "WEBP", "PNG", "AVIF", "FLI", "DCX")

# Formats that Pillow recognizes but has no decoder for.
UNREADABLE = ("MPEG",)

# Modes with a channel of opacity.
WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")

# The least span of grays in which a drawing is visible.
FAINTEST = 16


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of all formats that Pillow reads, in lower case."""
    from PIL import Image, ImageFile

    registered = Image.registered_extensions()
    readable = set()
    for name, (factory, _) in Image.OPEN.items():
        stub = isinstance(factory, type) and issubclass(
            factory, ImageFile.StubImageFile
        )
        if not stub and name not in UNREADABLE:
            readable.add(name)
    return frozenset(s for s, name in registered.items() if name in readable)


def is_picture(path: PurePath) -> bool:
    """Return whether a file's suffix, in any case, is that of a picture."""
    return path.suffix.lower() in suffixes()


def upright(image):
    """Return an image turned as its EXIF data say; broken data are ignored."""
    from PIL import Image

    image.load()  # which turns a TIFF
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    turn = turns.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image) -> int:
    """Return the EXIF orientation of an image, 1 where the data say none of 1 to 8."""
    from PIL import ExifTags

    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # PIL raises many kinds, depending on the fault
        return 1
    return found if found in range(1, 9) else 1


def eight_bits(image, format: str | None):
    """Return an image with 8 bits per channel, in a mode that converts to gray and RGB.

    Images of 16 and 32 bits and those in CIELAB are converted; others are returned as
    they are.
    """
    from PIL import Image

    if image.mode == "LAB":  # Pillow doesn't make it gray
        return image.convert("RGB")
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    # Pillow has 16 bits of these formats in the mode of 32.
    sixteen = image.mode == "I" and format in ("PNG", "PPM")
    if image.mode.startswith("I;16") or sixteen:
        return Image.fromarray((values >> 8).astype(np.uint8))
    least, most = values.min(), values.max()
    tops = {1: 255, 255: 1, 65535: 1 / 256}
    for top, factor in tops.items():
        # Values slightly below 0 are the overshoot of a filter.
        if -1e-3 * most <= least and most <= top and (top > 1 or image.mode == "F"):
            scaled = (values.clip(0) * factor + (top <= 255) / 2).clip(0, 255)
            return Image.fromarray(scaled.astype(np.uint8))
    raise ValueError(
        f"its values go from {least:g} to {most:g}; expected 0 to 1, 255 or 65535"
    )


def on_paper(image):
    """Return an image without transparency, on white.

    The background is black if nothing would be visible on white.
    """
    from PIL import Image

    if not (image.mode in WITH_ALPHA or "transparency" in image.info):
        return image
    drawn = image.convert("RGBA")
    if drawn.getchannel("A").getextrema() == (255, 255):
        return image

    def on(color):
        paper = Image.new("RGBA", drawn.size, color)
        return Image.alpha_composite(paper, drawn).convert("RGB")

    def span(shown):
        low, high = shown.convert("L").getextrema()
        return high - low

    white = on("white")
    if span(white) >= FAINTEST:
        return white
    return max(white, on("black"), key=span)
