"""L2-constrained softmax (Ranjan et al. 2017) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 96.03 % test accuracy (results/mnist_2d_l2_softmax),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/l2_softmax.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_l2_softmax")
    config.head = {"name": "l2_softmax", "scale": "24"}
    return defaults.finish(config, arg)
