# %% [markdown]
# # A spline on two circles
#
# Two circles, one in the other, are an easy picture and a hard density: all of it lies
# on two thin curves. We fit it twice, with one spline for each coordinate and with
# splines in couplings, and look at what either can express.

# %%
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nfml_jax import flows, plots
from nfml_jax.synthetic import DENSITIES, draw
from nfml_jax.training import fit

circles = DENSITIES["circles"]
train, test = draw(circles, "train", 20_000), draw(circles, "test", 10_000)
limits = plots.limits_around(test)
plots.samples_2d(test, limits=limits)

# %% [markdown]
# ## The loop
#
# Training a flow is maximum likelihood, and needs nothing but its log-density. The loop
# itself is the same for every model on these pages: `fit` takes a loss of the parameters
# and of a random key, and runs all steps in one compiled program. This is all that it
# does:

# %%
source = inspect.getsource(fit)
print(source[source.index("    def step") :])

# %% [markdown]
# The loss draws a batch and returns its mean negative log-density.


# %%
def fit_flow(flow, steps=1000, batch=256):
    variables = flow.init(jax.random.key(0), train[:2])
    data = jnp.asarray(train)

    def loss(params, key):
        x = data[jax.random.randint(key, (batch,), 0, len(data))]
        return -flow.apply(variables | {"params": params}, x).mean()

    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    start, key = variables["params"], jax.random.key(1)
    params, losses = fit(loss, start, optimizer, steps, key)
    return variables | {"params": params}, losses


# %% [markdown]
# ## One spline for each coordinate
#
# `independent` moves each coordinate by a spline of its own. It can learn what each
# coordinate does by itself, the *marginals*.

# %%
elementwise = flows.independent(2, bins=16)
learned, losses = fit_flow(elementwise)
draws = elementwise.apply(learned, jax.random.key(2), (10_000,), method="sample")
plots.marginals(test, np.asarray(draws))

# %% [markdown]
# The marginals are right, and the joint density is not: the coordinates of the draws
# know nothing of each other.

# %%
plots.joint(test, np.asarray(draws))

# %% [markdown]
# ## Splines in couplings
#
# In a coupling the spline of one coordinate is computed from the other. A few layers
# that take turns can make the circles.

# %%
coupled = flows.rq_nsf(event_dim=2, layers=4, hidden=48, blocks=1, bins=8)
fitted, losses = fit_flow(coupled)
draws = coupled.apply(fitted, jax.random.key(2), (10_000,), method="sample")
plots.joint(test, np.asarray(draws))

# %% [markdown]
# The true density is known here, so the distance to it is, too: the mean of
# $\log p(x) - \log q(x)$ over test points is the Kullback-Leibler divergence, in nats.

# %%
grid = plots.grid_points(limits, 120)
truth = circles.log_prob(test)
panels, known = {}, np.asarray(circles.log_prob(grid)).reshape(120, 120)
panels["circles"] = {"truth": known}
for name, flow, variables in [
    ("one spline each", elementwise, learned),
    ("couplings", coupled, fitted),
]:
    log_prob = jax.jit(flow.apply)
    divergence = np.mean(truth - log_prob(variables, test))
    print(f"{name}: KL = {divergence:.3f} nats")
    panels["circles"][name] = np.asarray(log_prob(variables, grid)).reshape(120, 120)
plots.density_gallery(panels, {"circles": limits}, rows_share=True, side=2.6)

# %% [markdown]
# The longer runs of `configs/spline_circles.py` and `configs/coupling_circles.py`, and
# eighteen recipes on ten such densities, are in [Results](../results/index.md). Next:
# [flows of images](3_images.md).
