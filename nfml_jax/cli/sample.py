"""Draw images of a trained flow: `nfml sample RUN --n=64 --out=grid.png`."""

from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.loading import load_pixel_flow


@command
def main(arguments=None) -> None:
    """Run the command `nfml sample`."""
    from PIL import Image

    from nfml_jax.plots import tile

    parser = make_parser("sample", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--n", type=int, default=64, help="the number of images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="below 1: more probable latents"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("samples.png"), help="a picture of all"
    )
    options = parser.parse_args(arguments)
    model = load_pixel_flow(options.run)
    images = model.sample(options.seed, options.n, options.temperature)
    grid = tile(images) * (255 / (model.levels - 1))
    with writing(options.out):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.squeeze(np.rint(grid).astype(np.uint8))).save(options.out)
    print(f"Wrote {options.out}: {len(images)} images of {model.words()}.")
