"""Picture files and arrays as images of a trained flow, unchanged in every level."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from nfml_jax.data.decoding import is_picture, upright
from nfml_jax.data.pictures import picture_problem
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError
from nfml_jax.loading.pixel_model import PixelModel
from nfml_jax.ops.levels import as_levels

ARRAYS = (".npy", ".npz")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz")


def read_images(
    model: PixelModel, paths: Iterable[Path | str], *, fit: bool = False
) -> tuple[list[str], np.ndarray]:
    """Return the names of images, and images `[N, H, W, C]` of the flow's levels.

    Args:
      model: The flow, whose images have one size.
      paths: Picture files; folders, zips or tars of pictures; and `.npy` or `.npz`
        files of arrays `[N, H, W, C]`, which any number of levels needs.
      fit: Whether pictures of another size, of colors or of 16 bits become such as the
        run's are, as its own pictures did. Otherwise they are refused, since such a
        change alters what their bits say.

    Raises:
      UserError: There is no image, a file cannot be read, or it does not fit.
    """
    names: list[str] = []
    parts: list[np.ndarray] = []
    for path in map(Path, paths):
        for name, images in _read(model, path.expanduser(), fit):
            names += [name] if len(images) == 1 else _numbered(name, len(images))
            parts.append(images)
    if not parts:
        raise UserError("no image was given; give picture files, or a folder of them.")
    return names, np.concatenate(parts)


def _read(model, path: Path, fit) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and images `[N, H, W, C]` of one path."""
    if not path.exists():
        raise UserError(f"there is no file {path}; give pictures, or a folder of them.")
    if path.suffix.lower() in ARRAYS:
        yield str(path), _of_array(model, path)
        return
    if model.levels != 256:
        raise UserError(
            f"a picture has 256 levels, and this flow {model.levels}: {path}; "
            "give its images as .npy, integers [N, H, W, C]."
        )
    if path.is_dir() or path.suffix.lower() in ARCHIVES:
        with open_tree(path) as tree:
            if not tree.pictures:
                words = tree.unread.words()
                raise UserError(
                    f"{path} holds no picture{f' ({words})' if words else ''}; give "
                    "pictures, or a folder of them."
                )
            for inner in tree.pictures:
                content = tree.read(inner)
                yield str(path / inner), _of_picture(model, path / inner, content, fit)
        return
    yield str(path), _of_picture(model, path, path.read_bytes(), fit)


def _of_array(model: PixelModel, path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            arrays = {name: found[name] for name in found.files}
            if len(arrays) != 1 and "images" not in arrays:
                raise UserError(
                    f"{path} holds the arrays {', '.join(arrays)}; give one array, or "
                    "name that of the images 'images'."
                )
            found = arrays.get("images", next(iter(arrays.values())))
    except (OSError, ValueError, EOFError) as problem:
        raise UserError(
            f"{path} cannot be read as an array ({problem}); save it with numpy.save."
        ) from problem
    if found.shape == model.image_shape:
        found = found[None]
    if model.image_shape[2] == 1 and found.shape[1:] == model.image_shape[:2]:
        found = found[..., None]
    try:
        return as_levels(found, model.levels, model.image_shape)
    except UserError as problem:
        raise UserError(f"{path}: {problem}") from problem


def _of_picture(model: PixelModel, path: Path, content: bytes, fit) -> np.ndarray:
    try:
        if not fit:
            _check_form(model, path, content)
        return model.look.decode(content)[None]
    except UserError:
        raise
    except Exception as problem:  # PIL raises many kinds, by format
        words = "" if is_picture(path) else ", and its suffix is not a picture's"
        raise UserError(
            f"{path} cannot be read as an image ({picture_problem(problem)}){words}; "
            "give another file."
        ) from problem


def _check_form(model: PixelModel, path: Path, content: bytes) -> None:
    """Raise UserError for a picture that would be changed to fit."""
    from PIL import Image

    image = upright(Image.open(io.BytesIO(content)))
    height, width, channels = model.image_shape
    if image.size != (width, height):
        raise UserError(
            f"{path} has {image.size[1]}×{image.size[0]} pixels, and this flow's "
            f"images {height}×{width}; resize it, or give --fit."
        )
    if image.mode.startswith(("I", "F")):
        raise UserError(
            f"{path} has more than 8 bits (mode {image.mode}), and this flow "
            f"{model.levels} levels; reduce it, or give --fit."
        )
    if channels == 1:
        colors = np.asarray(image.convert("RGB"), np.int16)
        if (np.ptp(colors, axis=-1) > 0).any():
            raise UserError(
                f"{path} has colors, and this flow's images one channel of gray; "
                "convert it, or give --fit."
            )


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}[{i}]" for i in range(count)]
