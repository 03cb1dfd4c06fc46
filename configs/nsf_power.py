"""RQ-NSF (C) on POWER with the recipe of Durkan et al. (2019), appendix B.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of 0.64 nats (its table 1). Its
autoregressive flow, RQ-NSF (AR), is the second command.

    python launch.py --config=configs/nsf_power.py
    python launch.py --config=configs/nsf_power.py \
        --config.flow.kind=autoregressive
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf("nsf_power", "power", layers=10, hidden=256, blocks=2)
    return defaults.finish(config, arg)
