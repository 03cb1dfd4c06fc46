"""Inverse autoregressive flows (Kingma et al. 2016) on the energies U1 to U4.

8 affine layers with masked networks of 64 and 64, the order reversed between them.

    python launch.py --config=configs/variational/iaf.py --config.energy.name=u4
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.variational("iaf", "iaf", layers=8, hidden=(64, 64))
    config.optimizer.learning_rate = 1e-2
    return defaults.finish(config, arg)
