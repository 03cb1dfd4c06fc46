# %% [markdown]
# # What is near?
#
# Much of learning is a question of distance: the nearest neighbors decide a class, the
# nearest center a cluster, the nearest face a name. Nothing says that the Euclidean
# distance is the right one. This page learns the simplest other kind, a *Mahalanobis
# metric*, and shows what it does to the notion of a ball.
#
# $$d(a, b)^2 = (a - b)^\top W (a - b), \qquad W = L^\top L$$
#
# With $W = L^\top L$ every matrix $L$ is allowed, and the distance is the Euclidean one
# after the linear map $x \mapsto L x$.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_breast_cancer, load_wine

from nfml_jax import plots
from nfml_jax.evaluation.neighbors import knn_accuracy
from nfml_jax.mahalanobis import METRIC_LEARNERS, Mahalanobis

# %% [markdown]
# ## Balls
#
# Two columns of the breast-cancer set, standardized. Each learner gets the same rows
# and labels. What lies on one of the drawn lines is equally far from its center.

# %%
cancer = load_breast_cancer()
columns = [
    list(cancer.feature_names).index(name)
    for name in ("mean compactness", "mean fractal dimension")
]
x = cancer.data[:, columns]
x, labels = (x - x.mean(0)) / x.std(0), cancer.target
order = np.random.default_rng(0).permutation(len(x))
train, test = order[:400], order[400:]

matrices = {}
for name in ("euclidean", "covariance", "nca", "lmnn"):
    L = METRIC_LEARNERS[name](x[train], labels[train])
    L = L / np.sqrt(abs(np.linalg.det(L))) / 0.3  # balls of one area
    right = knn_accuracy(
        x[train] @ L.T, labels[train], x[test] @ L.T, labels[test], 5, "euclidean"
    )
    matrices[f"{name}\n5-NN {right:.1%}"] = L
centers = [(-1.0, -1.0), (0.5, -1.0), (-0.5, 1.0), (1.2, 0.8)]
plots.metric_balls(matrices, centers, x[test], labels[test], ["malignant", "benign"])

# %% [markdown]
# `covariance` whitens the data and forgets the labels. `nca` (Goldberger et al. 2004) and
# `lmnn` (Weinberger and Saul 2009) look at them: distance along the boundary between the
# classes becomes cheap, distance across it dear. NCA goes far here, and nearly measures
# along one direction only.
#
# ## Any loss can learn it
#
# `Mahalanobis` is a Flax module like any other, a network of one layer. So every loss of
# the library trains it. Here it is SupCon on the wine set, 13 columns about three kinds
# of wine, beside which we put 20 columns of noise. The Euclidean distance takes them all
# seriously.

# %%
from nfml_jax.losses import make_loss

wine, rng = load_wine(), np.random.default_rng(0)
order = rng.permutation(len(wine.data))
train, test, labels = order[:100], order[100:], wine.target
rows = np.concatenate([wine.data, rng.normal(size=(len(order), 20))], axis=1)
rows = jnp.asarray((rows - rows.mean(0)) / rows.std(0), jnp.float32)

metric, objective = Mahalanobis(rank=2), make_loss(3, 2, name="sup_con")
variables = metric.init(jax.random.key(0), rows)
optimizer = optax.adamw(1e-2, weight_decay=1e-2)
state = optimizer.init(variables)


@jax.jit
def step(variables, state):
    def loss(variables):
        embeddings = metric.apply(variables, rows[train])
        return objective.apply({}, embeddings, labels[train]).loss

    value, grads = jax.value_and_grad(loss)(variables)
    updates, state = optimizer.update(grads, state, variables)
    return optax.apply_updates(variables, updates), state, value


for _ in range(200):
    variables, state, value = step(variables, state)

z = np.asarray(metric.apply(variables, rows))
of_noise = np.linalg.norm(variables["params"]["L"][:, 13:]) / np.linalg.norm(
    variables["params"]["L"]
)
print(f"share of the noise in L: {of_noise**2:.1%}, 20 of 33 columns")
for name, found, kind in [
    ("Euclidean", np.asarray(rows), "euclidean"),
    ("learned", z, "cosine"),
]:
    right = knn_accuracy(
        found[train], labels[train], found[test], labels[test], 5, kind
    )
    print(f"{name}: 5-NN {right:.1%} of {len(test)} wines")
plots.embeddings_2d(
    z[test],
    labels[test],
    class_names=list(wine.target_names),
    title="held-out wines under the learned metric",
)

# %% [markdown]
# A linear map has a limit: it can turn and stretch, and never bend. The next pages
# replace it by a network and keep the rest: [pairs and triplets](5_pairs.md).
