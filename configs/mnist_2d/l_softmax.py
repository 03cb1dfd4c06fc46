"""L-Softmax (Liu et al. 2016) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 98.62 % test accuracy (results/mnist_2d_l_softmax),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/l_softmax.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_l_softmax")
    config.head = {
        "name": "l_softmax",
        "margin": 2,
        "grad": "exact",
        # λ: from 100, when the margin hardly counts, to 0.2 after 4,000 steps.
        "annealing": defaults.annealing(),
    }
    return defaults.finish(config, arg)
