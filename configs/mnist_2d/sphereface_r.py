"""SphereFace-R (Liu et al. 2022) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 97.53 % test accuracy (results/mnist_2d_sphereface_r),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/sphereface_r.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_sphereface_r")
    config.head = {
        "name": "sphereface_r",
        "margin": 1.4,
        "scale": "24",
        "grad": "detach",
        "warmup_steps": 800,
    }
    return defaults.finish(config, arg)
