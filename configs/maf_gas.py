"""MAF (5) on GAS with the recipe of Papamakarios et al. (2017), section 4.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of 9.07 nats (its table 1), with one or
two hidden layers, whichever did better in validation. On this set alone its networks
have tanh units.

    python launch.py --config=configs/maf_gas.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.maf("maf_gas", "gas", hidden=(100, 100), activation="tanh")
    return defaults.finish(config, arg)
