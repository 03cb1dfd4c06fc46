"""Print the bits per dimension of pictures: `nfml bits RUN PICTURES...`.

PICTURES are files, folders, zips, tars, and .npy or .npz arrays of levels. They have
the size and the channels of the run's images; --fit resizes and converts others. A
class-conditional flow gives the bits of the mixture of its classes, or with --label
those of one class.

    nfml bits RUN digits/ --samples=8 --output=bits.csv
"""

import csv
from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.loading import load_pixel_flow
from nfml_jax.loading.picture_files import read_images
from nfml_jax.ops.checks import check_integer

PRINTED = 40
"""The most pictures whose bits are all printed."""
WORST = 5


@command
def main(arguments=None) -> None:
    """Run the command `nfml bits`."""
    parser = make_parser("bits", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("pictures", type=Path, nargs="+", help="pictures, or folders")
    parser.add_argument(
        "--samples", type=int, default=8, help="draws of noise for each picture"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise")
    parser.add_argument("--label", help="the class of the pictures, by name or number")
    parser.add_argument(
        "--fit", action="store_true", help="resize and convert other pictures"
    )
    parser.add_argument("--output", type=Path, help="a .csv file of all pictures")
    options = parser.parse_args(arguments)
    check_integer(None, 1, **{"--samples": options.samples})
    check_integer(None, 0, 2**32 - 1, **{"--seed": options.seed})
    model = load_pixel_flow(options.run)
    names, images = read_images(model, options.pictures, fit=options.fit)
    found = model.bits_per_dim(images, options.samples, options.seed, options.label)
    rows = list(zip(names, found.per_image, strict=True))
    if options.output is not None:
        with writing(options.output), options.output.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["picture", "bits_per_dim"])
            writer.writerows((name, f"{bits:.6g}") for name, bits in rows)
    if len(rows) <= PRINTED:
        for name, bits in rows:
            print(f"{bits:8.4f}  {name}")
    elif options.output is None:
        print(f"{len(rows):,} pictures; --output=FILE.csv writes the bits of each.")
    print(found)
    worst = np.argsort(-np.nan_to_num(found.per_image, nan=np.inf), kind="stable")
    words = [f"{names[i]} ({found.per_image[i]:.4f})" for i in worst[:WORST]]
    if len(rows) > 1:
        print(f"The most bits: {', '.join(words)}.")
    if options.output is not None:
        print(f"Written to {options.output}.")
