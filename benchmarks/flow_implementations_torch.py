"""The flow of `flow_implementations.py` in the libraries of PyTorch."""

from flow_setting import BINS, BOUND, RATE
from harness import named, torch_on


def torch_tasks(module, log_prob, sample, args, wait):
    import torch

    optimizer = torch.optim.Adam(module.parameters(), RATE)
    x = torch.randn(args.batch, args.dim)

    def train():
        optimizer.zero_grad()
        (-log_prob(x).mean()).backward()
        optimizer.step()
        wait()

    @torch.no_grad()
    def log_probs():
        log_prob(x)
        wait()

    @torch.no_grad()
    def samples():
        sample(args.batch)
        wait()

    tasks = {"train": train, "log_prob": log_probs, "sample": samples}
    parameters = sum(p.numel() for p in module.parameters())
    return tasks, {"version": f"torch {torch.__version__}", "parameters": parameters}


def zuko(args):
    from functools import partial

    import torch
    import zuko
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.transforms import MonotonicRQSTransform, PermutationTransform

    layers, wait = [], torch_on(args)
    for _ in range(args.layers):
        order = torch.randperm(args.dim)
        coupling = GeneralCouplingTransform(
            args.dim,
            mask=torch.arange(args.dim) < args.dim // 2,
            univariate=partial(MonotonicRQSTransform, bound=BOUND),
            shapes=[(BINS,), (BINS,), (BINS - 1,)],
            hidden_features=(args.hidden,) * 5,
        )
        shuffle = zuko.lazy.UnconditionalTransform(
            PermutationTransform, order, buffer=True
        )
        layers += [shuffle, coupling]
    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal,
        torch.zeros(args.dim),
        torch.ones(args.dim),
        buffer=True,
    )
    flow = zuko.lazy.Flow(layers, base)
    tasks, facts = torch_tasks(
        flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)), args, wait
    )
    return tasks, named("zuko", zuko.__version__, facts)


def nflows(args):
    from importlib.metadata import version

    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.nn.nets import ResidualNet
    from nflows.transforms import (
        CompositeTransform,
        PiecewiseRationalQuadraticCouplingTransform,
        RandomPermutation,
    )

    def network(inputs, outputs):
        return ResidualNet(inputs, outputs, args.hidden, num_blocks=2)

    layers, wait = [], torch_on(args)
    for _ in range(args.layers):
        coupling = PiecewiseRationalQuadraticCouplingTransform(
            (torch.arange(args.dim) >= args.dim // 2).int(),
            network,
            num_bins=BINS,
            tails="linear",
            tail_bound=BOUND,
        )
        layers += [RandomPermutation(args.dim), coupling]
    flow = Flow(CompositeTransform(layers), StandardNormal([args.dim]))
    tasks, facts = torch_tasks(flow, flow.log_prob, flow.sample, args, wait)
    return tasks, named("nflows", version("nflows"), facts)
