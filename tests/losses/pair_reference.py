"""Losses of pairs and triplets as loops over examples in float64, for their tests.

Each takes embeddings [B, D], labels [B] and the parameters; miners are lists.
"""

import math

import numpy as np

from tests.losses.batch_reference import unit


def euclidean(x):
    return np.array([[math.dist(a, b) for b in x] for a in x])


def cosine_distance(x):
    return 1 - unit(x) @ unit(x).T


def squared(x):
    return euclidean(x) ** 2


def others(labels, a):
    """Return the positives and the negatives of an anchor."""
    everyone = [i for i in range(len(labels)) if i != a]
    positives = [i for i in everyone if labels[i] == labels[a]]
    return positives, [i for i in everyone if labels[i] != labels[a]]


def mean(values):
    return sum(values) / len(values) if values else 0.0


def active(values):
    return [value for value in values if value > 0]


def log_sum_exp(values):
    return np.logaddexp.reduce(values)


def softplus(value):
    return np.logaddexp(0.0, value)


# Miners: the positives of an anchor, and the negatives of it and one of its positives.


def every(d, positives, negatives):
    return positives, lambda p: negatives


def hardest(d, positives, negatives):
    p = max(positives, key=lambda i: d[i])
    n = min(negatives, key=lambda i: d[i])
    return [p], lambda _: [n]


def semi_hard(d, positives, negatives):
    def choose(p):
        farther = [n for n in negatives if d[n] > d[p]]
        if farther:
            return [min(farther, key=lambda i: d[i])]
        return [max(negatives, key=lambda i: d[i])]

    return positives, choose


def easy_positive(d, positives, negatives):
    _, choose = semi_hard(d, positives, negatives)
    return [min(positives, key=lambda i: d[i])], choose


def graded(low, high):
    def mine(d, positives, negatives):
        return positives, lambda p: [n for n in negatives if low < d[n] - d[p] <= high]

    return mine


def similar(d, positives, negatives, epsilon=0.1):
    nearest = min((d[n] for n in negatives), default=math.inf)
    farthest = max((d[p] for p in positives), default=-math.inf)
    kept = [n for n in negatives if d[n] < farthest + epsilon]
    return [p for p in positives if d[p] > nearest - epsilon], lambda _: kept


MARGIN = 0.3
MINES = {
    "all": every,
    "easy": graded(MARGIN, math.inf),
    "easy_positive": easy_positive,
    "semi_hard": semi_hard,
    "semi_hard_band": graded(0.0, MARGIN),
    "hard": graded(-math.inf, 0.0),
    "batch_hard": hardest,
    "multi_similarity": similar,
}


# Losses.


def contrastive(x, labels, params):
    d, near, far = euclidean(unit(x)), [], []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        near += [d[a, p] ** 2 for p in positives]
        far += [max(1 - d[a, n], 0) ** 2 for n in negatives]
    return mean(active(near)) + mean(active(far))


def snr(x, labels, params):
    x, near, far = unit(x), [], []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        d = [np.var(b - x[a]) / np.var(x[a]) for b in x]
        near += [d[p] for p in positives]
        far += [max(1 - d[n], 0) for n in negatives]
    sums = mean([abs(sum(a)) for a in x])
    return mean(active(near)) + mean(active(far)) + 0.1 * sums


def margin(x, labels, params):
    d, lost = euclidean(unit(x)), []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        beta = params["beta"][labels[a]]
        lost += [max(0.2 + d[a, p] - beta, 0) for p in positives]
        lost += [max(0.2 + beta - d[a, n], 0) for n in negatives]
    return mean(active(lost))


def triplets(x, labels, distances, mine, lose):
    d, lost = distances(unit(x)), []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        positives, choose = mine(d[a], positives, negatives)
        lost += [lose(d[a, p], d[a, n]) for p in positives for n in choose(p)]
    return mean(active(lost))


def triplet(x, labels, params):
    def lose(near, far):
        return max(near - far + 0.2, 0)

    return triplets(x, labels, euclidean, semi_hard, lose)


def soft_triplet(x, labels, params):
    def lose(near, far):
        return softplus(near - far)

    return triplets(x, labels, cosine_distance, every, lose)


def quadruplet(x, labels, params):
    d, first, second = squared(unit(x)), [], []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        for p in positives:
            for n in negatives:
                first.append(max(d[a, p] - d[a, n] + 1, 0))
                third = [d[n, m] for m in negatives if labels[m] != labels[n]]
                if third:
                    second.append(max(d[a, p] - min(third) + 0.5, 0))
    return mean(active(first)) + mean(active(second))


def n_pair(x, labels, params):
    products, lost = x @ x.T, []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        for p in positives:
            apart = [math.exp(products[a, n] - products[a, p]) for n in negatives]
            lost.append(math.log(1 + sum(apart)) + 0.001 * products[a, a])
    return mean(lost)


def tuplet_margin(x, labels, params):
    cosines, lost = unit(x) @ unit(x).T, []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        for p in positives:
            eased = math.cos(math.acos(cosines[a, p]) - 0.1)
            against = log_sum_exp([64 * cosines[a, n] for n in negatives])
            lost.append(softplus(against - 64 * eased))
    return mean(lost)


def angular(x, labels, params):
    x, lost, t = unit(x), [], math.tan(math.radians(40)) ** 2
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        for p in positives:
            apart = 2 * (1 + t) * (x[a] @ x[p])
            f = [4 * t * ((x[a] + x[p]) @ x[n]) - apart for n in negatives]
            lost.append(math.log(1 + sum(map(math.exp, f))))
    return mean(lost)


def lifted_structure(x, labels, params):
    d, lost = euclidean(unit(x)), []
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        far = log_sum_exp(d[a, positives])
        lost.append(max(far + log_sum_exp(1 - d[a, negatives]), 0))
    return mean(lost)


def multi_similarity(x, labels, params):
    s, lost = unit(x) @ unit(x).T, []
    for a in range(len(x)):
        positives, choose = similar(1 - s[a], *others(labels, a))
        negatives = choose(None)
        pulled = sum(math.exp(-2 * (s[a, p] - 1)) for p in positives)
        pushed = sum(math.exp(50 * (s[a, n] - 1)) for n in negatives)
        lost.append(math.log(1 + pulled) / 2 + math.log(1 + pushed) / 50)
    return mean(lost)


def circle(x, labels, params, fixed):
    s, lost = unit(x) @ unit(x).T, []
    weights = unit(fixed) @ unit(fixed).T
    for a in range(len(x)):
        positives, negatives = others(labels, a)
        pull = [max(1.25 - weights[a, p], 0) * (s[a, p] - 0.75) for p in positives]
        push = [max(weights[a, n] + 0.25, 0) * (s[a, n] - 0.25) for n in negatives]
        pulled = log_sum_exp([-256 * v for v in pull])
        lost.append(softplus(pulled + log_sum_exp([256 * v for v in push])))
    return mean(lost)
