"""NormFace (Wang et al. 2017) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_normface")
    config.head = {"name": "normface", "scale": 24.0}
    return defaults.finish(config, arg)
