"""Detection of unseen digits: a class-conditional spline flow on part of MNIST.

The flow is trained on the digits 0 to 7; on the test, -log p(x) should be largest for 8
and 9. Baselines are normal densities, Mahalanobis distance and the distances of
neighbors. AUROC is 0.864 after two minutes on one core; neighbors reach 0.866, a normal
density for each digit 0.893 (results/anomaly_mnist).

    python launch.py --config=configs/anomaly_mnist.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.digits("anomaly_mnist")
    config.data.held_out = ("8", "9")
    return defaults.finish(config, arg)
