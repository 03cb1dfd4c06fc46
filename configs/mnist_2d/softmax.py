"""Softmax on MNIST in two dimensions: the baseline of the article's figure."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_softmax")
    config.head = {"name": "softmax"}
    return defaults.finish(config, arg)
