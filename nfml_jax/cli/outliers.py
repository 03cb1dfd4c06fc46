"""List training images that lie far from their class: `nfml outliers RUN`.

Mislabeled images are among them, above all with the head subcenter_arcface, where they
gather at the lesser centers (Deng et al. 2020, section 3.3). Train again without them,
with any head or loss, by `--config.data.without=FILE`.
"""

from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.data.left_out import write_left_out
from nfml_jax.errors import UserError
from nfml_jax.heads import outliers
from nfml_jax.loading import data_of, load
from nfml_jax.loading.embedders import TrainedClassifier
from nfml_jax.ops.batches import in_batches
from nfml_jax.ops.checks import check_number

# Images read at a time, from folders larger than memory.
CHUNK = 4096


@command
def main(arguments=None) -> None:
    """Run the command `nfml outliers`."""
    parser = make_parser("outliers", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument(
        "--degrees",
        type=float,
        default=75.0,
        help="the least angle of an outlier; default: 75",
    )
    listed = {"default": Path("outliers.json"), "help": "default: outliers.json"}
    parser.add_argument("--output", type=Path, **listed)
    options = parser.parse_args(arguments)
    check_number(None, 0, 180, **{"--degrees": options.degrees})
    model = load(options.run)
    if not isinstance(model, TrainedClassifier):
        raise UserError(
            f"{options.run} has no class weights to measure angles to; give a run of a "
            "margin head, such as subcenter_arcface."
        )
    data = data_of(options.run)
    embeddings = in_batches(model.embed, CHUNK, data.train.images)
    weights, labels = model.class_weights, data.train.labels
    far = np.flatnonzero(outliers(embeddings, labels, weights, options.degrees))
    with writing(options.output):
        write_left_out(options.output, data, far)
    print(
        f"{len(far):,} of {len(labels):,} training images lie more than "
        f"{options.degrees:g}° from the center of their class. Train without them by "
        f"--config.data.without={options.output}."
    )
