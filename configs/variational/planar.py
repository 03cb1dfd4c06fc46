"""Planar flows on the energies U1 to U4 (Rezende & Mohamed 2015).

TODO

    python launch.py --config=configs/variational/planar.py --config.energy.name=u4
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.variational("planar", "planar", layers=32)
    config.optimizer.learning_rate = 1e-2
    return defaults.finish(config, arg)
