"""Print the bits per dimension of pictures: `nfml bits RUN PICTURE...`.

Every picture is read as the images of the run were, in their size.
"""

from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser
from nfml_jax.loading import load_pixel_flow


@command
def main(arguments=None) -> None:
    """Run the command `nfml bits`."""
    parser = make_parser("bits", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("pictures", type=Path, nargs="+", help="files of pictures")
    parser.add_argument(
        "--samples", type=int, default=8, help="draws of noise for each picture"
    )
    options = parser.parse_args(arguments)
    model = load_pixel_flow(options.run)
    images = np.stack([model.read(path) for path in options.pictures])
    found = model.bits_per_dim(images, samples=options.samples)
    for path, bits in zip(options.pictures, found.per_image, strict=True):
        print(f"{bits:8.4f}  {path}")
    print(f"{found.mean:8.4f}  mean; {found.kind}")
