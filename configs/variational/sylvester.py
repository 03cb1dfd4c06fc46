"""Sylvester flows (van den Berg et al. 2018) on the energies U1 to U4.

32 layers, each with both directions of the plane, by Householder reflections.

    python launch.py --config=configs/variational/sylvester.py --config.energy.name=u4
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.variational("sylvester", "sylvester", layers=32)
    config.optimizer.learning_rate = 1e-2
    return defaults.finish(config, arg)
