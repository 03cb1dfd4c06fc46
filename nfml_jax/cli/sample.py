"""Draw images of a trained flow: `nfml sample RUN --n=64 --out=grid.png`.

--format=grid writes one picture of all, folder a PNG for each, and npz the levels
themselves, which any number of levels and channels has. A class-conditional flow draws
classes by their shares of the training images, or one --label. The same seed gives the
same images, and a larger --n begins with the images of a smaller one.

    nfml sample RUN --n=64 --temperature=0.8 --out=grid.png
    nfml sample RUN --n=100 --label=7 --format=folder --out=sevens
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.errors import UserError
from nfml_jax.loading import load_pixel_flow
from nfml_jax.loading.pixels import TrainedPixelFlow
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.names import look_up


@command
def main(arguments=None) -> None:
    """Run the command `nfml sample`."""
    parser = make_parser("sample", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--n", type=int, default=64, help="the number of images")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="below 1: more probable latents"
    )
    parser.add_argument("--label", help="the class, by name or number")
    parser.add_argument("--format", default="grid", help=", ".join(FORMATS))
    parser.add_argument("--out", type=Path, help="the file, or the folder")
    options = parser.parse_args(arguments)
    default, write = look_up(FORMATS, options.format, "format")
    check_integer(None, 1, **{"--n": options.n})
    check_integer(None, 0, 2**32 - 1, **{"--seed": options.seed})
    check_number(None, above=0.0, **{"--temperature": options.temperature})
    model = load_pixel_flow(options.run)
    out = options.out or Path(default)
    images = model.sample(options.seed, options.n, options.temperature, options.label)
    with writing(out, "--out"):
        out.parent.mkdir(parents=True, exist_ok=True)
        write(model, images, out)
    print(f"Wrote {out}: {len(images)} images of {model.words()}.")


def write_grid(model: TrainedPixelFlow, images: np.ndarray, out: Path) -> None:
    """Write one picture of all images, as square as possible."""
    from nfml_jax.plots import tile

    save_picture(model, tile(images), out)


def write_folder(model: TrainedPixelFlow, images: np.ndarray, out: Path) -> None:
    """Write a PNG for each image."""
    if model.levels != 256:
        raise UserError(
            f"a PNG has 256 levels, and this flow {model.levels}; give --format=npz."
        )
    out.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        save_picture(model, image, out / f"{number:05d}.png")


def write_npz(model: TrainedPixelFlow, images: np.ndarray, out: Path) -> None:
    """Write the levels, as the array "images" `[N, H, W, C]`."""
    with out.open("wb") as file:  # numpy would add a suffix to a name
        np.savez_compressed(file, images=images)


def save_picture(model: TrainedPixelFlow, image: np.ndarray, out: Path) -> None:
    """Write an image `[H, W, C]` of levels as a picture from black to white."""
    from PIL import Image

    if image.shape[-1] not in (1, 3):
        raise UserError(
            f"a picture has 1 or 3 channels, and this flow's images {image.shape[-1]}; "
            "give --format=npz."
        )
    scaled = np.rint(image * (255 / (model.levels - 1))).astype(np.uint8)
    squeezed = scaled[..., 0] if scaled.shape[-1] == 1 else scaled
    try:
        Image.fromarray(squeezed).save(out)
    except ValueError as problem:
        raise UserError(
            f"cannot write {out} ({problem}); give a name such as grid.png."
        ) from None


# Name -> the default of --out, and the function that writes images.
FORMATS: dict[str, tuple[str, Callable]] = {
    "grid": ("samples.png", write_grid),
    "folder": ("samples", write_folder),
    "npz": ("samples.npz", write_npz),
}
