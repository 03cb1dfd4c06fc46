"""The margin (or what a loss has instead) and the rate of each loss on MNIST.

The argument names the loss as that of the config does, with the embedding size:

    python launch.py --config=configs/mnist_losses.py:triplet \\
        --sweep=configs/sweeps/mnist_margins.py:triplet
    python -m nfml_jax.results runs/mnist_margins-triplet \\
        --metrics validation/map@r

Every loss gets the same three rates and up to three margins, all with the encoder, the
budget and the validation images of `configs/mnist_losses.py`. Choose by validation
alone, which is validation/accuracy of heads and validation/map@r of other losses; write
the choice into that config, and report seeds that had no part in it: here it is seed 0.
Nine runs take about 40 minutes of CPU time.
"""

from configs import defaults, mnist_losses
from nfml_jax.names import look_up
from nfml_jax.training.sweeps import param, product

RATES = (5e-4, 1e-3, 2e-3)

# Loss -> what to choose from, for embeddings with room for ten classes.
GRIDS = {
    "softmax": {},
    "l2_softmax": {"scale": ("16", "24", "30")},
    "normface": {"scale": ("16", "24", "30")},
    "l_softmax": {"margin": (2, 3, 4)},
    "sphereface": {"margin": (2, 3, 4)},
    "sphereface_r": {"margin": (1.4, 1.7, 2.0)},
    "cosface": {"margin": (0.1, 0.2, 0.35)},
    "arcface": {"margin": (0.2, 0.3, 0.5)},
    "combined": {"margin": ((1.0, 0.1, 0.05), (1.0, 0.2, 0.1), (1.0, 0.3, 0.2))},
    "contrastive": {"margin": (0.5, 1.0, 1.4)},
    "triplet": {"margin": (0.1, 0.2, 0.5)},
    "center": {"weight": (0.001, 0.01, 0.1)},
    "multi_similarity": {"base": (0.5, 0.75, 1.0)},
    "sup_con": {"temperature": (0.05, 0.1, 0.2)},
    "proxy_anchor": {"margin": (0.05, 0.1, 0.2)},
    "soft_triple": {"margin": (0.01, 0.05, 0.1)},
}


def get_sweep(arg="triplet"):
    grid = look_up(GRIDS, defaults.read_argument(arg, "triplet", 64).name, "loss here")
    config = mnist_losses.get_config(arg).to_dict()
    section = "head" if "head" in config else "objective"
    options = product(*(param(field, *values) for field, values in grid.items()))
    sections = [config[section] | chosen for chosen in options]
    return product(param(section, *sections), param("optimizer.learning_rate", *RATES))
