"""Digits told apart by a density of each: a class-conditional spline flow on MNIST.

A neural spline flow (Durkan et al. 2019) on 32 principal components, given the digit;
p(digit | x) by Bayes' rule, beside a normal density for each digit and neighbours.
RESULT

    python launch.py --config=configs/conditional_mnist.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.digits("conditional_mnist")
    return defaults.finish(config, arg)
