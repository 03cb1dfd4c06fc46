"""Losses, gradients, distances and retrieval beside pytorch-metric-learning."""

import math
from functools import partial

import numpy as np

from tests.peers.rows import CLASSES, SIZE, batches, clusters, proxies

PEER, ENVIRONMENT = "pytorch-metric-learning", "metric"

LOSSES = {
    "contrastive": {"name": "contrastive", "power": 1},
    "triplet": {"name": "triplet", "miner": "all"},
    "triplet in the band": {"name": "triplet", "miner": "semi_hard_band"},
    "triplet of the hardest": {"name": "triplet", "miner": "batch_hard"},
    "triplet, soft": {"name": "triplet", "miner": "all", "margin": "soft"},
    "multi-similarity": {"name": "multi_similarity", "miner": "all", "base": 0.5},
    "multi-similarity, mined": {
        "name": "multi_similarity",
        "miner": "multi_similarity",
        "base": 0.5,
    },
    "supcon": {"name": "sup_con"},
    "ntxent": {"name": "nt_xent"},
    "n-pair": {"name": "n_pair", "penalty": 0.0, "normalize": True},
    "lifted structure": {"name": "lifted_structure"},
    "circle": {"name": "circle", "margin": 0.4, "scale": 80.0},
    "fast_ap": {"name": "fast_ap"},
    "margin": {"name": "margin", "by_class": False, "miner": "all"},
    "tuplet margin": {"name": "tuplet_margin"},
    "angular": {"name": "angular", "miner": "all"},
    "nca": {"name": "nca", "normalize": True},
    "snr": {"name": "snr", "zero_mean": 0.0},
    "proxy-nca": {"name": "proxy_nca"},
    "proxy-nca++": {"name": "proxy_nca_plus_plus", "temperature": 1.0},
    "proxy-anchor": {"name": "proxy_anchor"},
    "soft-triple": {"name": "soft_triple", "centers": 3, "tau": 0.0},
}
HEADS = {
    "arcface": {"name": "arcface", "margin": 0.5, "scale": 64.0},
    "cosface": {"name": "cosface", "margin": 0.35, "scale": 64.0},
    "sphereface": {"name": "sphereface"},
    "normface": {"name": "normface", "scale": 20.0},
    "sub-center arcface": {"name": "subcenter_arcface", "margin": 0.5, "scale": 64.0},
    "large margin softmax": {"name": "l_softmax"},
}
EXPLAINED = {
    "supcon, one class, *": (
        "Theirs is zero without a negative; Khosla et al.'s sum over all others is not."
    ),
    "n-pair, *": (
        "Theirs draws a pair of each class, whose negatives are the others' positives; "
        "here each example is an anchor, and all of other classes its negatives."
    ),
    "lifted structure, *": (
        "Theirs counts anchors without a positive or without a negative, by the part "
        "of the loss that they have; here these have none."
    ),
    "margin, *": (
        "Theirs counts a pair once for each triplet that holds it, and none that is in "
        "no triplet; here each pair counts once."
    ),
    "nca, no two of a class, *": "Theirs is NaN where no example has a positive.",
    "proxy-nca, *": (
        "Theirs has the target's proxy in the sum too, which Movshovitz-Attias et al. "
        "leave out; it is proxy-nca++ here."
    ),
}
SCORES = {
    "recall@1": "precision_at_1",
    "r_precision": "r_precision",
    "map@r": "mean_average_precision_at_r",
    "map": "mean_average_precision",
    "mrr": "mean_reciprocal_rank",
}


def shape_of(name: str) -> tuple[int, ...] | None:
    """The axes of a loss's proxies before that of coordinates; None without any."""
    if name in ("soft-triple", "sub-center arcface"):
        return CLASSES, 3
    return (CLASSES,) if name in HEADS or name.startswith("proxy") else None


def ours():
    import jax

    from nfml_jax.evaluation import retrieval
    from nfml_jax.heads import make_head
    from nfml_jax.losses import make_loss
    from nfml_jax.ops import distances

    def of_loss(name, options):
        make = make_head if name in HEADS else make_loss
        module, shape = make(CLASSES, SIZE, **options), shape_of(name)

        def value(x, p, y):
            variables = jax.eval_shape(module.init, jax.random.key(0), x, y)
            variables = jax.tree.map(lambda v: np.zeros(v.shape, v.dtype), variables)
            if shape is not None:
                key = "proxies" if "proxies" in variables["params"] else "weights"
                held = variables["params"][key].shape
                p = p.transpose(1, 0, 2) if held[:2] == shape[1::-1] else p
                variables["params"][key] = p.reshape(held)
            elif "beta" in variables.get("params", {}):
                variables["params"]["beta"] = np.float32(1.2)
            out, _ = module.apply(variables, x, y, mutable=True)
            return out.loss.mean()

        program, found = jax.jit(jax.value_and_grad(value, argnums=(0, 1))), {}
        for batch, (x, y) in batches().items():
            loss, (gradient, of_proxies) = program(x, proxies(*(shape or (1,))), y)
            found[f"{batch}, value"] = loss
            found[f"{batch}, gradient"] = gradient
            if shape is not None:
                found[f"{batch}, gradient of proxies"] = of_proxies
        return found

    def between():
        found = {}
        for batch, (x, _) in batches().items():
            found[f"{batch}, Euclidean"] = distances.distances(x, x)
            found[f"{batch}, squared"] = distances.squared_distances(x, x)
        return found

    def scores():
        rows, labels = clusters()
        parts = {"one set": (rows, labels), "two sets": ()}
        parts["two sets"] = rows[60:], labels[60:], rows[:60], labels[:60]
        return {
            f"{metric}, {part}, {name}": value
            for metric in ("euclidean", "cosine")
            for part, given in parts.items()
            for name, value in retrieval.metrics(
                *given, metric=metric, names=tuple(SCORES)
            ).items()
        }

    groups = {k: partial(of_loss, k, v) for k, v in (LOSSES | HEADS).items()}
    return groups | {"distances": between, "retrieval": scores}


def theirs():
    import torch
    from pytorch_metric_learning import distances, losses, miners
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    proxy, degrees = {"num_classes": CLASSES, "embedding_size": SIZE}, math.degrees
    mined = {
        "triplet in the band": miners.TripletMarginMiner(0.2, "semihard"),
        "triplet of the hardest": miners.BatchHardMiner(),
        "multi-similarity, mined": miners.MultiSimilarityMiner(0.1),
    }
    made = {
        "contrastive": losses.ContrastiveLoss,
        "triplet": lambda: losses.TripletMarginLoss(0.2),
        "triplet in the band": lambda: losses.TripletMarginLoss(0.2),
        "triplet of the hardest": lambda: losses.TripletMarginLoss(0.2),
        "triplet, soft": lambda: losses.TripletMarginLoss(0.0, smooth_loss=True),
        "multi-similarity": lambda: losses.MultiSimilarityLoss(2.0, 50.0, 0.5),
        "multi-similarity, mined": lambda: losses.MultiSimilarityLoss(2.0, 50.0, 0.5),
        "supcon": lambda: losses.SupConLoss(0.1),
        "ntxent": lambda: losses.NTXentLoss(0.1),
        "n-pair": losses.NPairsLoss,
        "lifted structure": losses.GeneralizedLiftedStructureLoss,
        "circle": lambda: losses.CircleLoss(0.4, 80),
        "fast_ap": lambda: losses.FastAPLoss(10),
        "margin": lambda: losses.MarginLoss(0.2),
        "tuplet margin": lambda: losses.TupletMarginLoss(degrees(0.1), 64),
        "angular": lambda: losses.AngularLoss(40),
        "nca": lambda: losses.NCALoss(1),
        "snr": losses.SignalToNoiseRatioContrastiveLoss,
        "proxy-nca": lambda: losses.ProxyNCALoss(**proxy, softmax_scale=1),
        "proxy-nca++": lambda: losses.ProxyNCALoss(**proxy, softmax_scale=1),
        "proxy-anchor": lambda: losses.ProxyAnchorLoss(**proxy),
        "soft-triple": lambda: losses.SoftTripleLoss(**proxy, centers_per_class=3),
        "arcface": lambda: losses.ArcFaceLoss(**proxy, margin=degrees(0.5), scale=64),
        "cosface": lambda: losses.CosFaceLoss(**proxy, margin=0.35, scale=64),
        "sphereface": lambda: losses.SphereFaceLoss(**proxy),
        "normface": lambda: losses.NormalizedSoftmaxLoss(**proxy, temperature=0.05),
        "sub-center arcface": lambda: losses.SubCenterArcFaceLoss(
            **proxy, margin=degrees(0.5), scale=64, sub_centers=3
        ),
        "large margin softmax": lambda: losses.LargeMarginSoftmaxLoss(**proxy),
    }

    def of_loss(name, make):
        loss, shape, found = make(), shape_of(name), {}
        if shape is not None:
            field = {"proxy": "proxies", "soft-": "fc"}.get(name[:5], "W")
            held = getattr(loss, field)
            flat = torch.as_tensor(proxies(*shape)).reshape(-1, SIZE)
            held.data = flat.clone() if held.shape == flat.shape else flat.T.clone()
        for batch, (x, y) in batches().items():
            x, y = torch.as_tensor(x).requires_grad_(), torch.as_tensor(y)
            # Theirs of angles has unit anchors and positives, but negatives as given.
            rows = torch.nn.functional.normalize(x) if name == "angular" else x
            pairs = mined[name](rows, y) if name in mined else None
            value = loss(rows, y, pairs)
            loss.zero_grad()
            if value.requires_grad:
                value.backward()
            gradient = torch.zeros_like(x) if x.grad is None else x.grad
            found[f"{batch}, value"] = value.detach().numpy()
            found[f"{batch}, gradient"] = gradient.numpy()
            if shape is not None:
                g = torch.zeros_like(held) if held.grad is None else held.grad
                g = (g if g.shape == flat.shape else g.T).numpy()
                found[f"{batch}, gradient of proxies"] = g.reshape(*shape, SIZE)
        return found

    def between():
        euclidean, found = distances.LpDistance(normalize_embeddings=False), {}
        squared = distances.LpDistance(normalize_embeddings=False, power=2)
        for batch, (x, _) in batches().items():
            x = torch.as_tensor(x)
            found[f"{batch}, Euclidean"] = euclidean(x, x).numpy()
            found[f"{batch}, squared"] = squared(x, x).numpy()
        return found

    def scores():
        rows, labels = map(torch.as_tensor, clusters())
        unit, found = torch.nn.functional.normalize(rows), {}
        for metric, x in {"euclidean": rows, "cosine": unit}.items():
            parts = {"one set": (x, labels), "two sets": ()}
            parts["two sets"] = x[60:], labels[60:], x[:60], labels[:60]
            for part, given in parts.items():
                calculator = AccuracyCalculator(include=tuple(SCORES.values()))
                measured = calculator.get_accuracy(*given)
                for name, peer_name in SCORES.items():
                    found[f"{metric}, {part}, {name}"] = measured[peer_name]
        return found

    groups = {name: partial(of_loss, name, make) for name, make in made.items()}
    return groups | {"distances": between, "retrieval": scores}
