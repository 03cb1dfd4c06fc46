r"""The margin, or the corresponding hyperparameter, of each loss on MNIST.

The argument names the loss as that of the config does, with the embedding size:

    python launch.py --config=configs/mnist_losses.py:triplet,2 \
        --sweep=configs/sweeps/mnist_margins.py:triplet,2 --vmap=on
    python -m nfml_jax results runs/mnist_margins-triplet \
        --metrics validation/accuracy,validation/map@r

Three values each, with the rate and the validation images of
`configs/mnist_losses.py`, fewer channels, a third of the steps, and the seed 100,
which no table has. Chosen by validation alone, which is validation/accuracy of heads
and validation/map@r of other losses; the choice is written into that config. Three runs
take about a minute and a half of CPU time.
"""

from configs import defaults, mnist_losses
from nfml_jax.ops.names import look_up
from nfml_jax.sweeps.overrides import param, product

# Loss -> the values to choose from, for embeddings with room for ten classes.
ROOMY = {
    "l2_softmax": {"scale": (16.0, 24.0, 30.0)},
    "normface": {"scale": (16.0, 24.0, 30.0)},
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

# In two or three dimensions ten classes leave less room between them.
TIGHT = ROOMY | {
    "sphereface_r": {"margin": (1.2, 1.4, 1.7)},
    "cosface": {"margin": (0.05, 0.1, 0.2)},
    "arcface": {"margin": (0.1, 0.2, 0.3)},
    "combined": {"margin": ((1.0, 0.05, 0.02), (1.0, 0.1, 0.05), (1.0, 0.2, 0.1))},
}


def get_sweep(arg="triplet"):
    name, size, _ = defaults.read_argument(arg, "triplet", 64)
    grid = look_up(mnist_losses.for_size(size, ROOMY, TIGHT), name, "loss here")
    config = mnist_losses.get_config(arg).to_dict()
    section = "head" if "head" in config else "objective"
    if config[section].get("warmup_steps"):  # a third, too
        grid = grid | {"warmup_steps": (config[section]["warmup_steps"] // 3,)}
    options = product(*(param(field, *values) for field, values in grid.items()))
    sections = [config[section] | chosen for chosen in options]
    return product(
        param(section, *sections),
        param("encoder.features", (8, 16, 64)),
        param("train.total", "500 steps"),
        param("seed", 100),
    )
