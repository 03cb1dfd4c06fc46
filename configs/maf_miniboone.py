"""MAF (5) on MINIBOONE with the recipe of Papamakarios et al. (2017), section 4.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of -11.75 nats (its table 1), with one or
two hidden layers, whichever did better in validation.

    python launch.py --config=configs/maf_miniboone.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.maf("maf_miniboone", "miniboone", hidden=(512, 512))
    return defaults.finish(config, arg)
