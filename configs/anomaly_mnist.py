"""Digits never seen found strange: a class-conditional spline flow on part of MNIST.

Trained on the digits 0 to 7; of the test's, -log p(x) should be largest for 8 and 9.
Normal densities, Mahalanobis and neighbours' distances stand beside it. AUROC 0.864
after minutes on one core; neighbours 0.866, a normal density for each digit 0.893
(results/anomaly_mnist).

    python launch.py --config=configs/anomaly_mnist.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.digits("anomaly_mnist")
    config.data.held_out = ("8", "9")
    return defaults.finish(config, arg)
