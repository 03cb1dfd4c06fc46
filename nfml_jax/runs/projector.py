"""TensorBoard's embedding projector: points, their labels, and their images."""

import json
import math
import re
from pathlib import Path

import numpy as np

from nfml_jax.runs.run_directory import replace_text

PROJECTOR_CONFIG = "projector_config.pbtxt"
PROJECTOR_DIR = "projector"
# The projector loads a sprite as one WebGL texture.
MAX_SPRITE_PIXELS = 4096


def write_embedding(
    run_dir: Path, step: int, name: str, embeddings, labels, images=None
) -> None:
    """Show points in TensorBoard's projector, replacing `name`'s earlier ones.

    `embeddings [N, D]`; `labels`, N class names; `images`, uint8 `[N, H, W]`, `[N, H,
    W, 1]` or `[N, H, W, 3]`, are drawn as the points.
    """
    embeddings = np.asarray(embeddings).astype(np.float32)
    labels = [" ".join(str(label).split()) for label in labels]
    if embeddings.ndim != 2 or len(embeddings) != len(labels):
        raise ValueError(
            f"embedding {name!r} has shape {list(embeddings.shape)} and "
            f"{len(labels)} labels; expected [N, D] and N"
        )
    folder = PROJECTOR_DIR + "/" + re.sub(r"[^-\w.]", "_", name)
    path = run_dir / folder
    path.mkdir(parents=True, exist_ok=True)
    np.savetxt(path / "tensors.tsv", embeddings, fmt="%.7g", delimiter="\t")
    # A name may contain bytes that are not UTF-8.
    names = ("\n".join(labels) + "\n").encode("utf-8", "backslashreplace")
    (path / "metadata.tsv").write_bytes(names)
    entry = [
        # A colon would be read as a tensor's output index.
        f"tensor_name: {json.dumps(f'{name}, step {step}')}",
        f'tensor_path: "{folder}/tensors.tsv"',
        f'metadata_path: "{folder}/metadata.tsv"',
    ]
    if images is not None:
        sprite, side = make_sprite(np.asarray(images))
        sprite.save(path / "sprite.png")
        entry.append(
            f'sprite {{ image_path: "{folder}/sprite.png" '
            f"single_image_dim: {side} single_image_dim: {side} }}"
        )
    (path / "entry.pbtxt").write_text(
        "embeddings {\n  " + "\n  ".join(entry) + "\n}\n", encoding="utf-8"
    )
    # The entries of an earlier process stay.
    entries = sorted(run_dir.glob(f"{PROJECTOR_DIR}/*/entry.pbtxt"))
    config = "".join(entry.read_text(encoding="utf-8") for entry in entries)
    replace_text(run_dir / PROJECTOR_CONFIG, config)


def make_sprite(images: np.ndarray):
    """Arrange images side by side in rows, as TensorBoard's projector requires.

    `images`, uint8 `[N, H, W]` or `[N, H, W, 1 or 3]`, are padded to squares, and
    shrunk if the sprite would exceed `MAX_SPRITE_PIXELS`. Returns a square PIL image
    and the side of one image in it.
    """
    from PIL import Image

    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"sprites are {images.dtype} {list(images.shape)}; "
            "expected uint8 [N, H, W] or [N, H, W, 1 or 3]"
        )
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    cells = np.zeros((columns * columns, side, side, channels), np.uint8)
    cells[:count, top : top + height, left : left + width] = images
    grid = cells.reshape(columns, columns, side, side, channels).swapaxes(1, 2)
    grid = grid.reshape(columns * side, columns * side, channels)
    sprite = Image.fromarray(np.broadcast_to(grid, (*grid.shape[:2], 3)).copy())
    if columns * side > MAX_SPRITE_PIXELS:
        side = max(1, MAX_SPRITE_PIXELS // columns)
        sprite = sprite.resize((columns * side, columns * side), Image.Resampling.BOX)
    return sprite, side
