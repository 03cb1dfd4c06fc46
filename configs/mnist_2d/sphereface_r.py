"""SphereFace-R (Liu et al. 2022) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_sphereface_r")
    config.head = {
        "name": "sphereface_r",
        "margin": 1.4,
        "scale": 24.0,
        "grad": "detach",
        "warmup_steps": 0,
    }
    return defaults.finish(config, arg)
