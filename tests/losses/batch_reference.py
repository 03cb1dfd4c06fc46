"""The papers' formulae as loops in float64, for tests of the objectives.

Each takes embeddings [B, D], labels [B] and, for proxies, the parameters.
"""

import math

import numpy as np


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def proxy_nca(x, labels, params, temperature=1.0, own_too=False):
    x, proxies = unit(x), unit(params["proxies"])
    losses = []
    for point, label in zip(x, labels, strict=True):
        d = [np.sum((point - proxy) ** 2) / temperature for proxy in proxies]
        others = [math.exp(-d[c]) for c in range(len(d)) if own_too or c != label]
        losses.append(-math.log(math.exp(-d[label]) / sum(others)))
    return np.mean(losses)


def proxy_nca_plus_plus(x, labels, params):
    return proxy_nca(x, labels, params, temperature=1 / 9, own_too=True)


def proxy_anchor(x, labels, params, margin=0.1, scale=32.0):
    cosines = unit(x) @ unit(params["proxies"]).T
    pull, push = [], []
    for c in range(cosines.shape[1]):
        own = [math.exp(-scale * (s - margin)) for s in cosines[labels == c, c]]
        others = [math.exp(scale * (s + margin)) for s in cosines[labels != c, c]]
        if own:
            pull.append(math.log(1 + sum(own)))
        push.append(math.log(1 + sum(others)))
    return np.mean(pull) + np.mean(push)


def soft_triple(x, labels, params, scale=20.0, gamma=0.1, margin=0.01, tau=0.2):
    x, centers = unit(x), unit(params["proxies"])
    classes, count, _ = centers.shape
    losses = []
    for point, label in zip(x, labels, strict=True):
        relaxed = []
        for of_class in centers:
            cosines = of_class @ point
            share = np.exp(cosines / gamma)
            relaxed.append(np.sum(share / share.sum() * cosines))
        relaxed[label] -= margin
        e = np.exp(scale * np.array(relaxed))
        losses.append(-math.log(e[label] / e.sum()))
    apart = 0.0
    for of_class in centers:
        for t in range(count):
            for s in range(t + 1, count):
                apart += math.sqrt(2 - 2 * of_class[s] @ of_class[t])
    return np.mean(losses) + tau * apart / (classes * count * (count - 1))


def center(x, labels, params, weight=0.003):
    logits = x @ params["head"]["weights"].T + params["head"]["bias"]
    losses = []
    for row, point, label in zip(logits, x, labels, strict=True):
        e = np.exp(row - row.max())
        apart = np.sum((point - params["centres"][label]) ** 2)
        losses.append(-math.log(e[label] / e.sum()) + weight / 2 * apart)
    return np.mean(losses)


def moved_centers(x, labels, centers, rate=0.5):
    moved = centers.copy()
    for c, center in enumerate(centers):
        own = x[labels == c]
        moved[c] = center - rate * sum(center - point for point in own) / (1 + len(own))
    return moved


def _neighbors(labels, i):
    """Return the other rows of i's class, and the rows of other classes."""
    rows = [j for j in range(len(labels)) if j != i]
    own = [j for j in rows if labels[j] == labels[i]]
    return own, [j for j in rows if labels[j] != labels[i]]


def nca(x, labels, params=None, temperature=1.0):
    losses = []
    for i in range(len(x)):
        own, others = _neighbors(labels, i)
        e = np.exp(-np.sum((x - x[i]) ** 2, axis=1) / temperature)
        if own:
            losses.append(-math.log(e[own].sum() / e[own + others].sum()))
    return np.mean(losses)


def sup_con(x, labels, params=None, temperature=0.1, mean="out"):
    losses = []
    for i in range(len(x)):
        own, others = _neighbors(labels, i)
        e = np.exp(unit(x) @ unit(x)[i] / temperature)
        shares = e[own] / e[own + others].sum()
        if own:
            out = np.mean(-np.log(shares))
            losses.append(out if mean == "out" else -math.log(np.mean(shares)))
    return np.mean(losses)


def sup_con_in(x, labels, params=None):
    return sup_con(x, labels, mean="in")


def nt_xent(x, labels, params=None, temperature=0.1):
    losses = []
    for i in range(len(x)):
        own, others = _neighbors(labels, i)
        e = np.exp(unit(x) @ unit(x)[i] / temperature)
        losses += [-math.log(e[j] / (e[j] + e[others].sum())) for j in own]
    return np.mean(losses)


def _shares(value, low, high, bins):
    """Return the shares of a value at the nodes, linear in the two around it."""
    nodes = np.linspace(low, high, bins + 1)
    return np.maximum(1 - np.abs(value - nodes) / (nodes[1] - nodes[0]), 0)


def fast_ap(x, labels, params=None, bins=10):
    losses = []
    for i in range(len(x)):
        own, others = _neighbors(labels, i)
        squared = np.sum((unit(x) - unit(x)[i]) ** 2, axis=1)
        h_own = sum((_shares(squared[j], 0, 4, bins) for j in own), np.zeros(bins + 1))
        h_all = sum((_shares(squared[j], 0, 4, bins) for j in others), h_own)
        if own:
            up_to_own, up_to_all = np.cumsum(h_own), np.cumsum(h_all)
            some = up_to_all > 0
            precision = h_own[some] * up_to_own[some] / up_to_all[some]
            losses.append(1 - precision.sum() / len(own))
    return np.mean(losses)


def smooth_ap(x, labels, params=None, temperature=0.01):
    losses = []
    for i in range(len(x)):
        own, others = _neighbors(labels, i)
        s = unit(x) @ unit(x)[i]
        precisions = []
        for j in own:
            before = 1 / (1 + np.exp(-(s - s[j]) / temperature))
            rank = 1 + sum(before[k] for k in own if k != j)
            precisions.append(rank / (rank + before[others].sum()))
        if own:
            losses.append(1 - np.mean(precisions))
    return np.mean(losses)


def histogram(x, labels, params=None, bins=100):
    positive, negative = np.zeros(bins + 1), np.zeros(bins + 1)
    for i in range(len(x)):
        for j in range(i):
            kind = positive if labels[i] == labels[j] else negative
            kind += _shares(unit(x)[i] @ unit(x)[j], -1, 1, bins)
    return np.sum(negative / negative.sum() * np.cumsum(positive / positive.sum()))


def _views(x, labels):
    """Return the first and second row, third and fourth and so on, of each label."""
    pairs = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        pairs += zip(rows[::2], rows[1::2], strict=False)
    first, second = np.array(pairs).T
    return x[first], x[second]


def barlow_twins(x, labels, params=None, off_diagonal=0.005):
    first, second = _views(x, labels)
    total, size = 0.0, x.shape[1]
    for i in range(size):
        for j in range(size):
            a, b = first[:, i] - first[:, i].mean(), second[:, j] - second[:, j].mean()
            c = np.mean(a * b) / math.sqrt((a.var() + 1e-5) * (b.var() + 1e-5))
            total += (1 - c) ** 2 if i == j else off_diagonal * c**2
    return total


def vicreg(x, labels, params=None):
    first, second = _views(x, labels)
    invariance = np.mean((first - second) ** 2)
    variance = covariance = 0.0
    for view in (first, second):
        deviations = np.sqrt(view.var(axis=0, ddof=1) + 1e-4)
        variance += np.mean(np.maximum(0, 1 - deviations)) / 2
        c = np.cov(view.T)
        covariance += (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / x.shape[1]
    return 25 * invariance + 25 * variance + covariance
