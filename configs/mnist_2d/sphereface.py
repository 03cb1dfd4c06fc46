"""SphereFace, that is A-Softmax (Liu et al. 2017), on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 98.50 % test accuracy (results/mnist_2d_sphereface),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/sphereface.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_sphereface")
    config.head = {
        "name": "sphereface",
        "margin": 4,
        "grad": "exact",
        # λ of the released training: from 1000 to 5, after 1,660 steps.
        "annealing": defaults.annealing(1000.0, minimum=5.0),
    }
    return defaults.finish(config, arg)
