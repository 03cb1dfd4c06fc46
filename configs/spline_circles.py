"""The first flow of a tutorial: an elementwise spline on two circles.

1,000 points of two circles, a rational-quadratic spline of each coordinate, 5,000 steps
of Adam on all of them at 1e-2. The marginals are right and the joint cannot be: see
configs/coupling_circles.py for a flow that fits it.

    python launch.py --config=configs/spline_circles.py

Seeds 0 to 2 took 17 to 19 seconds each on one core; on two, some 4 of them go into the
steps with their compilation, the rest to import, evaluate and draw. On 10,000 other
points NLL is 2.524 nats for all three, 0.815 more than the truth's 1.709.
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.density(
        "spline_circles", "independent", layers=1, bins=16, bound=3.0
    )
    defaults.two_circles(config)
    return defaults.finish(config, arg)
