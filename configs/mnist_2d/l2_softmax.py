"""L2-constrained softmax (Ranjan et al. 2017) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_l2_softmax")
    config.head = {"name": "l2_softmax", "scale": 24.0}
    return defaults.finish(config, arg)
