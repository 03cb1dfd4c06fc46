"""Neural spline flows (Durkan et al. 2019) on the energies U1 to U4.

4 couplings with splines of 16 bins, mixed by permutations and LU maps.

    python launch.py --config=configs/variational/rq_nsf.py --config.energy.name=u4
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.variational(
        "rq_nsf",
        "rq_nsf",
        layers=4,
        hidden=64,
        blocks=1,
        bins=16,
        bound=4.0,
    )
    config.optimizer.learning_rate = 3e-3
    return defaults.finish(config, arg)
