"""NormFace (Wang et al. 2017) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 97.00 % test accuracy (results/mnist_2d_normface),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/normface.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_normface")
    config.head = {"name": "normface", "scale": "24"}
    return defaults.finish(config, arg)
