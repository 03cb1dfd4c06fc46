"""Planar flows on the energies U1 to U4 (Rezende & Mohamed 2015).

32 layers of 5 parameters; the paper shows 2, 8 and 32 (`--config.flow.layers=8`).
As there, the log-density is multiplied by a β that rises from 0.01 to 1.

    python launch.py --config=configs/variational/planar.py --config.energy.name=u4
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.variational("planar", "planar", layers=32)
    config.optimizer.learning_rate = 1e-2
    return defaults.finish(config, arg)
