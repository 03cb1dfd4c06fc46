"""RQ-NSF (C) on MINIBOONE with the recipe of Durkan et al. (2019), appendix B.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of -9.67 nats (its table 1). Its
autoregressive flow, RQ-NSF (AR), is the second command.

    python launch.py --config=configs/nsf_miniboone.py
    python launch.py --config=configs/nsf_miniboone.py \
        --config.flow.kind=autoregressive --config.flow.hidden=64 \
        --config.train.batch_size=64 --config.train.total="250000 steps"
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "nsf_miniboone", "miniboone", layers=10, hidden=32, blocks=1, dropout=0.2
    )
    config.flow.bins = 4
    config.train.batch_size = 128
    config.train.total = "200000 steps"
    config.optimizer.learning_rate = 3e-4
    return defaults.finish(config, arg)
