"""L-Softmax (Liu et al. 2016) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_l_softmax")
    config.head = {"name": "l_softmax", "margin": 2, "grad": "exact", "annealing": True}
    return defaults.finish(config, arg)
