"""SphereFace, that is A-Softmax (Liu et al. 2017), on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_sphereface")
    config.head = {
        "name": "sphereface",
        "margin": 4,
        "grad": "exact",
        "annealing": True,
    }
    return defaults.finish(config, arg)
