"""Densities: a bijector and a base distribution, and recipes by name."""

from nfml_jax.flows.flow import Flow, FlowDistribution

__all__ = ["Flow", "FlowDistribution"]
