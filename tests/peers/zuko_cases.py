"""Scalar maps, linear maps, flows and bases beside zuko, in PyTorch."""

from functools import partial

import numpy as np

from tests.peers import curves, own_flows
from tests.peers.curves import (
    BINS,
    BOUND,
    DIM,
    HIDDEN,
    LEAST,
    events,
    inside,
    numbers,
    points,
)

PEER, ENVIRONMENT = "zuko", "flows"
EXPLAINED = {}


def ours():
    return own_flows.maps("affine", "exp", "softplus", "sigmoid", "tanh", "spline") | {
        "sum of squares": own_flows.sum_of_squares,
        "Bernstein": own_flows.bernstein,
        "mixture of Gaussians": own_flows.mixture_of_gaussians,
        "LU": own_flows.lu_without_shift,
        "rotation": own_flows.rotation,
        **own_flows.with_networks(),
        "bases": partial(own_flows.bases, "normal", "uniform", "student_t", "mixture"),
    }


def theirs():
    import torch
    import zuko
    from torch import distributions as td
    from torch.nn.functional import pad, softplus
    from zuko import distributions as zd
    from zuko import transforms as zt

    def tensor(x, dtype=torch.float64):
        return torch.as_tensor(np.asarray(x), dtype=dtype)

    def both_ways(map_, x):
        """Return images, originals and log-determinants, in float64."""
        x = tensor(x).requires_grad_()
        y = map_(x)
        log_det = map_.log_abs_det_jacobian(x, y)
        back = map_.inv(y)
        found = {
            "forward": y,
            "log-det": log_det,
            "inverse": back,
            "log-det of the inverse": -map_.log_abs_det_jacobian(back, y),
        }
        return {name: value.detach().numpy() for name, value in found.items()}

    def derivatives(map_, x):
        given = tensor(x).requires_grad_()
        y = map_(given)
        (slope,) = torch.autograd.grad(y.sum(), given, create_graph=True)
        log_det = map_.log_abs_det_jacobian(given, y)
        bend = torch.zeros_like(given)
        if log_det.requires_grad:
            (bend,) = torch.autograd.grad(log_det.sum(), given, allow_unused=True)
            bend = torch.zeros_like(given) if bend is None else bend
        smooth = np.abs(np.abs(x) - BOUND) > 1e-3
        return both_ways(map_, x) | {
            "derivative": slope.detach().numpy(),
            "gradient of the log-det": np.where(smooth, bend.numpy(), 0),
        }

    def edges(logits):
        share = LEAST + (1 - LEAST * BINS) * torch.softmax(logits, -1)
        return 2 * BOUND * pad(torch.cumsum(share, -1), (1, 0)) - BOUND

    def spline(widths, heights, slopes):
        """Return a spline of this project's parameters."""
        map_ = zt.MonotonicRQSTransform(widths, heights, slopes, bound=BOUND)
        map_.horizontal, map_.vertical = edges(widths), edges(heights)
        inner = LEAST + (1 - LEAST) * softplus(slopes) / np.log(2.0)
        map_.derivatives = pad(inner, (1, 1), value=1.0)
        return map_

    def affine(raw, shift):
        log_scale = curves.MOST_LOG_SCALE * torch.tanh(raw / curves.MOST_LOG_SCALE)
        return td.AffineTransform(shift, torch.exp(log_scale))

    def copied(net, modules):
        first, bias, last, shift = map(tensor, net)
        layers = [module for module in modules if hasattr(module, "weight")]
        for layer, weight, add in zip(
            layers, (first.T, last.T), (bias, shift), strict=True
        ):
            layer.weight.data, layer.bias.data = weight, add
            if hasattr(layer, "mask"):
                layer.mask = torch.ones_like(weight, dtype=torch.bool)

    def coupling(univariate, shapes, seed):
        params = sum(map(int, (np.prod(s) for s in shapes)))
        made = zuko.flows.GeneralCouplingTransform(
            DIM,
            mask=torch.arange(DIM) < DIM // 2,
            univariate=univariate,
            shapes=shapes,
            hidden_features=(HIDDEN,),
        )
        copied(curves.network(DIM // 2, DIM // 2 * params, seed), made.hyper)
        return made

    def masked(univariate, shapes, seed):
        params = sum(map(int, (np.prod(s) for s in shapes)))
        made = zuko.flows.MaskedAutoregressiveTransform(
            DIM, univariate=univariate, shapes=shapes, hidden_features=(HIDDEN,)
        )
        copied(curves.masked_network(params, seed), made.hyper)
        return made

    def flow(layer, univariate, shapes):
        turn = zt.PermutationTransform(torch.arange(DIM - 1, -1, -1))
        first, second = (layer(univariate, shapes, seed)() for seed in (1, 2))
        # Their transform goes from data to base.
        chain = zt.ComposedTransform(first, turn, second)
        base = zd.DiagNormal(tensor(np.zeros(DIM)), tensor(np.ones(DIM)))
        density = zd.NormalizingFlow(chain.inv, base)
        y, log_det = chain.call_and_ladj(tensor(events()))
        found = {"forward": y, "log-det": log_det}
        found["log-density"] = density.log_prob(tensor(events() / 2))
        return {name: value.detach().numpy() for name, value in found.items()}

    def sum_of_squares():
        K, L = own_flows.SQUARES, own_flows.DEGREE
        constants = np.arange(1, K + 1) / K
        raw = numbers(K * (L + 1)).reshape(K, L + 1).astype(float)
        raw[:, 0] += constants / np.linalg.norm(constants)
        raw *= np.sqrt(K)  # theirs is a mean over squares, and has a one in each
        raw[:, 0] -= 1
        map_ = zt.SOSPolynomialTransform(tensor(raw), slope=0.0, bound=BOUND)
        return both_ways(map_, inside())

    def bernstein():
        share = np.exp(numbers(8).astype(float))
        steps = 2 * BOUND * share / share.sum()
        map_ = zt.BernsteinTransform(tensor(np.zeros(6)), bound=BOUND)
        map_.theta = tensor(np.concatenate([[0.0], np.cumsum(steps)]) - BOUND)
        map_.basis = map_._bernstein_basis(map_.order, dtype=torch.float64)
        map_.offset, map_.slope = map_._offset_and_slope()
        return both_ways(map_, inside())

    def mixture_of_gaussians():
        count = own_flows.COMPONENTS
        log_scales, places = numbers(count), numbers(count, seed=16)
        scale = tensor(-log_scales)
        map_ = zt.GaussianizationTransform(-tensor(places) * torch.exp(scale), scale)
        return both_ways(map_, inside())

    def lu():
        triangles, scale = numbers(DIM, DIM), np.exp(numbers(DIM, seed=12))
        # Theirs has the scales in L: L diag(s) and, of ones on its diagonal, U.
        lower = (np.tril(triangles, -1) + np.eye(DIM)) * scale
        return both_ways(
            zt.LULinearTransform(tensor(lower + np.triu(triangles, 1))), events()
        )

    def bases():
        places, scales, logits = map(tensor, own_flows.mixture_numbers())
        zeros, ones = tensor(np.zeros(3)), tensor(np.ones(3))
        heavy = td.StudentT(tensor(own_flows.DEGREES_OF_FREEDOM), zeros, ones)
        found = {
            "normal": zd.DiagNormal(zeros, ones),
            "uniform": zd.BoxUniform(-ones, ones),
            "student_t": td.Independent(heavy, 1),
            "mixture": zd.Mixture(zd.DiagNormal(places, scales), logits),
        }
        x = tensor(own_flows.base_points())
        return {name: base.log_prob(x).numpy() for name, base in found.items()}

    soft = 0.3 / (1 + 0.3 / np.log(1e-3))  # theirs takes it to 0.3
    parts = {name: tensor(value) for name, value in curves.spline().items()}
    slopes = tensor(curves.raw_slopes(curves.spline()["slopes"][1:-1]))
    scalar = {
        "affine": zt.MonotonicAffineTransform(tensor(0.7), tensor(soft)),
        "exp": td.ExpTransform(),
        "softplus": td.SoftplusTransform(),
        "sigmoid": td.SigmoidTransform(),
        "tanh": td.TanhTransform(),
        "spline": spline(parts["widths"], parts["heights"], slopes),
    }
    affines = affine, ((), ())
    splines = spline, ((BINS,), (BINS,), (BINS - 1,))
    groups = {
        name: partial(
            derivatives,
            map_,
            points() / (1 if name in ("affine", "spline") else 3),
        )
        for name, map_ in scalar.items()
    }
    return groups | {
        "sum of squares": sum_of_squares,
        "Bernstein": bernstein,
        "mixture of Gaussians": mixture_of_gaussians,
        "LU": lu,
        "rotation": lambda: both_ways(
            zt.RotationTransform(tensor(numbers(DIM, DIM))), events()
        ),
        "affine couplings": partial(flow, coupling, *affines),
        "spline couplings": partial(flow, coupling, *splines),
        "affine autoregressive": partial(flow, masked, *affines),
        "spline autoregressive": partial(flow, masked, *splines),
        "bases": bases,
    }
