"""Planar flows on the energies U1 to U4 (Rezende & Mohamed 2015).

32 layers of 5 parameters; the paper's figure 3 has 2, 8 and 32: `--config.flow.layers=8`.
As there, β rises from 0.01 to 1, though in 2,000 steps of 5,000 instead of 10,000 of
500,000, and Adam takes the place of RMSprop. 20 seconds on one core, most of them to
compile.

    python launch.py --config=configs/variational/planar.py --config.energy.name=u4
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.variational("planar", "planar", layers=32)
    config.optimizer.learning_rate = 1e-2
    return defaults.finish(config, arg)
