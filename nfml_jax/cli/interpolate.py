"""Draw the images between two pictures: `nfml interpolate RUN --from A --to B`.

They lie on a straight line of latents, and the first and the last are the pictures
themselves. A class-conditional flow needs the class of both as --label=3, or of each as
--label=3,8.

    nfml interpolate RUN --from a.png --to b.png --n=9 --out=line.png
"""

from pathlib import Path

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.cli.sample import save_picture
from nfml_jax.errors import UserError
from nfml_jax.loading import load_pixel_flow
from nfml_jax.loading.picture_files import read_images
from nfml_jax.ops.checks import check_integer


@command
def main(arguments=None) -> None:
    """Run the command `nfml interpolate`."""
    from nfml_jax.plots import tile

    parser = make_parser("interpolate", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    ends = {"type": Path, "required": True}
    parser.add_argument("--from", dest="first", help="the first picture", **ends)
    parser.add_argument("--to", dest="last", help="the last picture", **ends)
    parser.add_argument("--n", type=int, default=9, help="the number of images")
    parser.add_argument("--label", help="the class of both, or of each: 3,8")
    parser.add_argument(
        "--fit", action="store_true", help="resize and convert other pictures"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("interpolation.png"),
        help="default: interpolation.png",
    )
    options = parser.parse_args(arguments)
    check_integer(None, 2, **{"--n": options.n})
    model = load_pixel_flow(options.run)
    paths = options.first, options.last
    _, ends = read_images(model, paths, fit=options.fit)
    if len(ends) != 2:
        raise UserError(
            f"--from and --to hold {len(ends)} images; give one picture each."
        )
    label = options.label
    label = label.split(",") if label and "," in label else label
    images = model.interpolate(*ends, options.n, label)
    with writing(options.out, "--out"):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_picture(model, tile(images, len(images)), options.out)
    print(f"Wrote {options.out}: {len(images)} images from {paths[0]} to {paths[1]}.")
