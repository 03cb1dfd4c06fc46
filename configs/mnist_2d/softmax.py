"""Softmax on MNIST in two dimensions: the baseline of the article's figure.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 98.38 % test accuracy
(results/mnist_2d_softmax), for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/softmax.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_softmax")
    config.head = {"name": "softmax"}
    return defaults.finish(config, arg)
