# %% [markdown]
# # Same or not, and who?
#
# An embedding is useful for classes that nobody trained on: people who join later,
# characters of another alphabet. A new face is new as a whole, and yet made of what many
# faces have. Our faces are two-digit numbers, put together from real handwritten digits
# of eight by eight pixels. We train on sixty numbers and test on the forty others, in the
# handwriting of images that the network has not seen either.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from nfml_jax import plots
from nfml_jax.evaluation import one_shot, retrieval, verification
from nfml_jax.evaluation.gallery import Gallery
from nfml_jax.heads import ArcFace, MarginHead
from nfml_jax.nets import make_net
from nfml_jax.training import fit

rng = np.random.default_rng(0)
source = load_digits()
order = rng.permutation(len(source.target))
images = jnp.float32(source.images[order, ..., None]) / 16
digits = source.target[order]
numbers = rng.permutation(100)
known, unseen = numbers[:60], numbers[60:]


def of_each_digit(part, count):
    """Return rows `[10, count]` of the images of each digit."""
    return np.stack([part[digits[part] == digit][:count] for digit in range(10)])


train = of_each_digit(np.arange(1200), 100)
test = of_each_digit(np.arange(1200, len(digits)), 45)


def draw(rows, numbers, key):
    """Return a picture `[N, 8, 16, 1]` of each number, from two digits drawn at random."""
    left, right = jax.random.randint(key, (2, len(numbers)), 0, rows.shape[1])
    rows = jnp.asarray(rows)
    tens, ones = rows[numbers // 10, left], rows[numbers % 10, right]
    return jnp.concatenate([images[tens], images[ones]], axis=2)


y = np.repeat(unseen, 30)
x = draw(test, y, jax.random.key(3))
plots.image_grids({f"{n:02d}": x[y == n][:3] for n in unseen[:6]}, top=1, columns=1)

# %%
STEPS, CLASSES = 2000, jnp.asarray(known)
net = make_net("mlp", 32, hidden=(256,))
head = MarginHead(num_classes=len(known), margin=ArcFace(0.3), scale=16.0)
params = {"net": net.init(jax.random.key(0), x[:2], train=False)}
params["head"] = head.init(jax.random.key(1), jnp.ones((2, 32)), jnp.arange(2))
optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, STEPS))


def objective(params, key):
    of_labels, of_images = jax.random.split(key)
    labels = jax.random.randint(of_labels, (100,), 0, len(known))
    embeddings = net.apply(
        params["net"], draw(train, CLASSES[labels], of_images), train=True
    )
    return head.apply(params["head"], embeddings, labels).loss.mean()


params, _ = fit(objective, params, optimizer, STEPS, jax.random.key(2))
embed = jax.jit(lambda x: net.apply(params["net"], x, train=False))
known_y = np.repeat(known, 30)
known_x = embed(draw(train, known_y, jax.random.key(4)))
pixels, x = x.reshape(len(y), -1), np.asarray(embed(x))

# %% [markdown]
# ## Verification: the same?
#
# Two images are the same if the cosine of their embeddings is above a threshold. Two
# errors are possible, and a threshold trades one for the other: impostors accepted (FAR)
# and genuine pairs rejected (FRR). All pairs are counted, in bounded memory.

# %%
pairs = verification.all_pairs(x, y)
threshold = verification.choose_threshold(known_x, known_y)
plots.pair_histograms(pairs.genuine, pairs.impostor, pairs.edges, threshold)

# %% [markdown]
# The dashed threshold was chosen on pairs of *known* numbers, which the network separates
# best. On numbers never seen it is right less often, and still far more often than the
# cosine of raw pixels. A report has to say on which people a threshold was chosen, and on
# which it was tried.

# %%
curves = {
    "known numbers": verification.all_pairs(known_x, known_y).roc(),
    "never seen": pairs.roc(),
    "never seen, raw pixels": verification.all_pairs(pixels, y).roc(),
}
for name, curve in curves.items():
    print(
        f"{name:23s} EER {curve.eer:6.2%}   TAR at FAR 1 % {curve.tar_at_far(1e-2):6.1%}"
    )
for name in ("known numbers", "never seen"):
    print(
        f"accuracy at the threshold, {name}: {curves[name].accuracy_at(threshold):.1%}"
    )
plots.roc_curve(curves)

# %% [markdown]
# The numbers share their digits, and that is what the network has learned from. It can't
# learn what a *digit* is from the other digits: six classes teach little about four
# others, where a face network sees thousands. Trained on 0 to 5 and tested on 6 to 9 of
# MNIST, no loss is better than an EER of 25 %
# ([Results](../results/index.md#digits-never-seen)).
#
# ## Identification: who?
#
# A `Gallery` holds people by name. A probe gets the name of the nearest, or *unknown*
# below a threshold, which is chosen for a rate of false alarms: here one unknown probe
# in ten may get a name. Twenty of the unseen numbers are enrolled, by five images each;
# ten choose the threshold, and the last ten are strangers.

# %%
gallery = Gallery(threshold=-1.0)
enrolled, choosing, strangers = unseen[:20], unseen[20:30], unseen[30:]
for number in enrolled:
    gallery.enroll(f"{number:02d}", x[y == number][:5])
gallery.threshold = gallery.threshold_at_fpir(x[np.isin(y, choosing)], 0.1)
right, named = 0.0, 0.0
for number in enrolled:
    names, _ = gallery.identify(x[y == number][5:])
    right += np.mean(names == f"{number:02d}") / len(enrolled)
    named += np.mean(names != "unknown") / len(enrolled)
names, _ = gallery.identify(x[np.isin(y, strangers)])
print(f"enrolled numbers: {named:.0%} get a name, {right:.0%} their own")
print(f"strangers: {np.mean(names != 'unknown'):.0%} get a name")

# %% [markdown]
# ## One shot
#
# In an *episode* each class is known by one image, or by the mean of five, and others
# are assigned to the nearest. Retrieval asks whether the nearest other image is of the
# same class, and how much of the beginning of the ranking is.

# %%
for shots in (1, 5):
    for name, points in (("learned", x), ("pixels", np.asarray(pixels))):
        found = one_shot.episodes(points, y, ways=20, shots=shots, queries=5, count=300)
        said = f"{found['accuracy']:.1%} ± {found['accuracy_ci95']:.1%}"
        print(f"20 ways, {shots} shot, {name:7s} {said}")
print(retrieval.metrics(x, y, names=["recall@1", "map@r"]))

# %% [markdown]
# All measures take plain arrays, from any model: see [Evaluation](../evaluation.md).
# The same on faces and on characters of unknown alphabets, with published protocols, is
# in [Results](../results/index.md).
