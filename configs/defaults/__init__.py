"""Fields that configs share, with their meaning; a config starts from one of these.

Every field that may be set on the command line must exist here or in the config. A
config's argument (`configs/X.py:smoke`) is handled by `finish`, and its other parts by
`read_argument`.
"""

from configs.defaults.argument import read_argument, take_encoder, take_pixels
from configs.defaults.density import density, two_circles, variational
from configs.defaults.few_pictures import FEW_PICTURES
from configs.defaults.images import (
    angular_head,
    annealing,
    margin,
    mnist_2d,
    named,
    pairs,
)
from configs.defaults.options import encoder_options, show_options, show_pixels
from configs.defaults.pixels import pixels
from configs.defaults.tables import any_table, digits, maf, nsf, patches
from configs.defaults.training import finish, training

__all__ = [
    "FEW_PICTURES",
    "angular_head",
    "annealing",
    "any_table",
    "density",
    "digits",
    "encoder_options",
    "finish",
    "maf",
    "margin",
    "mnist_2d",
    "named",
    "nsf",
    "pairs",
    "patches",
    "pixels",
    "read_argument",
    "show_options",
    "show_pixels",
    "take_encoder",
    "take_pixels",
    "training",
    "two_circles",
    "variational",
]
