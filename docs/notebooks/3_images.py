# %% [markdown]
# # Flows of images
#
# An image is a vector with an order: neighboring pixels are alike. A flow of images is
# made of the same couplings, with convolutions as networks, and of a few maps that move
# pixels into channels. Here it learns the 8 × 8 digits of scikit-learn, in a minute.

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from nfml_jax import flows, plots
from nfml_jax.bijectors import Dequantize, Squeeze
from nfml_jax.training import fit

images = load_digits().images.astype(np.uint8)[..., None]  # [1797, 8, 8, 1], 0 to 16
images = np.random.default_rng(0).permutation(images)
train, test = images[:1500], images[1500:]
print(train.shape, train.min(), train.max())

# %% [markdown]
# ## Levels are not a density
#
# A pixel has one of 17 levels, and a density of levels means nothing: a flow could put a
# spike on each and reach any likelihood. *Dequantization* adds a draw $u$ from $[0, 1)$
# to each level; the density of the sum, averaged over a unit cell, bounds the
# probability of the level:
#
# $$\log P(x) \geq \mathbb{E}_u \log p(x + u)$$
#
# `Dequantize` is a *surjection*: forward it rounds, backward it draws. `Quantized` joins
# it to a flow and keeps the account.

# %% [markdown]
# ## Pixels into channels
#
# `Squeeze` makes four channels of every block of 2 × 2 pixels. Half of the channels then
# tells about the other half, which is what a coupling needs.

# %%
squeezed, _ = Squeeze(2).apply({}, jnp.asarray(train[:1], jnp.float32))
print(train[:1].shape, "->", squeezed.shape)

# %% [markdown]
# ## Glow
#
# The recipe `glow` (Kingma and Dhariwal 2018) repeats three maps: a normalization of
# channels, a learned mixing of channels, and an affine coupling. After each scale half
# of the channels is done, and the rest goes on.

# %%
flow = flows.glow(event_shape=(8, 8, 1), levels=2, steps=4, hidden=48)
model = flows.Quantized(flow, Dequantize(levels=17, event_ndim=3))
data = jnp.asarray(train)
variables = jax.jit(model.init)(jax.random.key(0), data[:64], jax.random.key(1))
print(f"{sum(p.size for p in jax.tree.leaves(variables['params'])):,} parameters")

STEPS, BATCH = 400, 64
optimizer = optax.chain(
    optax.clip_by_global_norm(5.0),
    optax.adamax(optax.cosine_decay_schedule(4e-3, STEPS)),
)


def loss(params, key):
    pick, noise = jax.random.split(key)
    x = data[jax.random.randint(pick, (BATCH,), 0, len(data))]
    return -model.apply(variables | {"params": params}, x, noise).mean()


start, key = variables["params"], jax.random.key(2)
params, losses = fit(loss, start, optimizer, STEPS, key)
variables = variables | {"params": params}

# %% [markdown]
# ## Bits
#
# The likelihood of images is told in *bits per dimension*: the length, in bits for each
# pixel, of the best code that the model gives. Less is better, and the bound on the
# probability is a bound on the bits from above.


# %%
def bits(log_prob):
    return float(-np.mean(log_prob) / (test[0].size * np.log(2)))


log_prob, keys = jax.jit(model.apply), jax.random.split(jax.random.key(3), 8)
draws = [log_prob(variables, jnp.asarray(test), key) for key in keys]
print(f"17 levels, nothing known    {np.log2(17):.3f} bits per pixel")
histogram = np.stack([(train == level).mean(0) + 1e-3 for level in range(17)])
histogram /= histogram.sum(0)
of_pixels = np.take_along_axis(histogram[:, None], test[None].astype(int), 0)[0]
print(f"a histogram of each pixel   {bits(np.log(of_pixels).sum((1, 2, 3))):.3f}")
print(f"Glow, a bound               {bits(np.mean(draws, 0)):.3f}")

# %% [markdown]
# ## What it draws
#
# Sampling is the other direction of the same maps, in one pass. With 1,500 images and a
# minute of training, many draws are digits and some are nearly so.

# %%
draw = jax.jit(lambda v, k: model.apply(v, k, (64,), method="sample"))
drawn = np.asarray(draw(variables, jax.random.key(5)))
border = ((0, 0), (1, 1), (1, 1), (0, 0))
plots.image_grids(
    {"test images": np.pad(test[:64], border), "draws": np.pad(drawn, border)}, 16
)

# %% [markdown]
# `nfml train --config=images:glow` trains such flows on MNIST,
# photographs and your own folders; [Image flows](../image_flows.md) has the recipes and
# what they reached.
