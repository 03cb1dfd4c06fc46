"""Pictures of any format, depth and colors become what a viewer shows."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from nfml_jax.data.decoding import is_picture, suffixes
from nfml_jax.data.look import Look
from nfml_jax.data.pictures import picture_size, read_picture
from nfml_jax.errors import UserError

SHARES = np.linspace(0, 1, 64).reshape(8, 8)
GREYS = (SHARES * 255).round().astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(image, kind, channels=1, **options):
    return Look.of(8, channels).decode(encoded(image, kind, **options))


def test_suffixes_are_those_of_formats_with_a_decoder():
    assert {
        ".png",
        ".jpg",
        ".webp",
        ".tif",
        ".gif",
        ".pbm",
        ".jp2",
        ".tga",
    } <= suffixes()
    assert not {".pdf", ".mpg", ".h5", ".txt", ""} & suffixes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "mode", ["L", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "LA", "I;16"]
)
def test_every_mode_keeps_its_grays(mode, channels):
    gray = Image.fromarray(GREYS)
    if mode == "LAB":
        gray = gray.convert("RGB")
    image = gray.convert(mode)
    if mode == "I;16":
        image = Image.fromarray((SHARES * 65535).astype(np.uint16))
    kind = {"YCbCr": "TIFF", "HSV": "PNG"}.get(mode, "TIFF")
    if mode == "HSV":
        image = image.convert("RGB")
    pixels = decoded(image, kind, channels)
    assert np.abs(pixels - GREYS[..., None].astype(int)).max() <= 3


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "PPM"])
def test_the_upper_half_of_16_bits_is_taken(kind):
    deep = (SHARES * 65535).astype(np.uint16)
    pixels = decoded(Image.fromarray(deep), kind)
    np.testing.assert_array_equal(pixels[..., 0], deep >> 8)


@pytest.mark.parametrize(
    ("top", "dtype"),
    [
        (1, np.float32),
        (255, np.float32),
        (65535, np.float32),
        (255, np.int32),
        (65535, np.int32),
    ],
)
def test_numbers_range_to_the_next_of_the_usual_tops(top, dtype):
    numbers = (SHARES * top).round(6 if top == 1 else 0).astype(dtype)
    pixels = decoded(Image.fromarray(numbers), "TIFF")
    assert np.abs(pixels[..., 0] - GREYS.astype(int)).max() <= 1


@pytest.mark.parametrize("values", [SHARES * 2 - 1, SHARES * 1e6, SHARES + np.nan])
def test_numbers_of_no_usual_range_are_refused(values, tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(values.astype(np.float32)).save(path)
    with pytest.raises(UserError, match=r"its values go from .* expected 0 to 1, 255"):
        read_picture(path, Look.of(8, 1))


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_transparent_drawing_stays_visible(ink, mode):
    pixels = np.full((8, 8, 4), ink, np.uint8)
    pixels[..., 3] = 0
    pixels[2:6, 3:5, 3] = 255
    seen = decoded(Image.fromarray(pixels).convert(mode), "PNG")[..., 0]
    assert (seen[2:6, 3:5] == ink).all() and (seen[:2] == 255 - ink).all()


def test_transparent_colors_of_a_palette_are_paper():
    image = Image.fromarray(GREYS).convert("P")
    index = image.getpixel((0, 0))
    for kind in ("PNG", "GIF"):
        assert decoded(image, kind, transparency=index)[0, 0, 0] == 255


def test_an_opaque_channel_changes_nothing():
    plain = Image.fromarray(GREYS).convert("RGB")
    np.testing.assert_array_equal(
        decoded(plain.convert("RGBA"), "PNG", 3), decoded(plain, "PNG", 3)
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_is_turned_once(kind, tmp_path):
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / "a.img"
        Image.fromarray(GREYS[:, :6]).convert("RGB").save(path, kind, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(path))
        assert picture_size(path) == upright.size
        expected = Look.of(8, 3)._fit(upright)
        np.testing.assert_array_equal(read_picture(path, Look.of(8, 3)), expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"\x00\x08\x00\x02\x01\x12", b"II*\x00\x08\x00", b"x"]
)
def test_broken_exif_data_are_ignored(kind, exif, tmp_path):
    image = Image.fromarray(GREYS).convert("RGB")
    path = tmp_path / "a.img"
    path.write_bytes(encoded(image, kind, exif=exif))
    np.testing.assert_array_equal(
        read_picture(path, Look.of(8, 3)), decoded(image, kind, 3)
    )
    assert picture_size(path) == (8, 8)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG"])
def test_the_first_frame_is_read_and_the_rest_noticed(kind):
    first, second = Image.fromarray(GREYS), Image.fromarray(255 - GREYS)
    look = Look.of(8, 1)
    film = encoded(first, kind, save_all=True, append_images=[second])
    pixels, several = look.first_frame(film)
    assert several and not look.first_frame(encoded(first, kind))[1]
    np.testing.assert_array_equal(pixels[..., 0], GREYS)


def test_a_suffix_counts_in_any_case(tmp_path):
    assert is_picture(tmp_path / "A.WebP") and not is_picture(tmp_path / "png")
