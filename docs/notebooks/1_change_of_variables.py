# %% [markdown]
# # Change of variables
#
# A normalizing flow draws a number $z$ that is easy to draw, and moves it: $x = f(z)$.
# If $f$ is increasing, no mass is lost on the way; it is only stretched or squeezed. So
# the density of $x$ is that of $z$, divided by the stretch:
#
# $$\log p_X(x) = \log p_Z(z) - \log f'(z), \qquad z = f^{-1}(x)$$
#
# Everything on these pages rests on this line. In `nfml_jax` a map $f$ of the line is a
# *scalar transform*: two pure functions, each of which returns the value and the
# logarithm of the derivative.

# %%
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors import RationalQuadratic
from nfml_jax.plots import style

spline = RationalQuadratic(bins=6, bound=3.0)  # identity outside [-3, 3]
raw = 0.5 * jax.random.normal(jax.random.key(6), (spline.num_params,))
z = jnp.linspace(-4, 4, 801)
x, log_slope = spline.forward_and_log_det(raw, z)
print(f"{spline.num_params} numbers without bounds make one map of the line")

# %% [markdown]
# The map is a *rational-quadratic spline* (Durkan et al. 2019): between knots it is a
# quotient of two quadratics, its derivative is continuous, and its inverse is the root
# of a quadratic, so both directions cost the same. Any numbers `raw` give an increasing
# map, which is why a network may produce them.

# %%
log_normal = jax.scipy.stats.norm.logpdf
density = jnp.exp(log_normal(z) - log_slope)  # at the points x

figure = style.new_figure(9.6, 3.1)
left, middle, right = figure.subplots(1, 3)
left.plot(z, jnp.exp(log_normal(z)), color=style.PALETTE[1])
middle.plot(z, x, color=style.PALETTE[0])
middle.plot(z, z, color=style.PALETTE[7], linestyle="--", linewidth=1)
right.plot(x, density, color=style.PALETTE[0])
draws, _ = spline.forward_and_log_det(
    raw, jax.random.normal(jax.random.key(0), (20_000,))
)
right.hist(
    np.asarray(draws),
    bins=120,
    range=(-4, 4),
    density=True,
    color=style.PALETTE[0],
    alpha=0.3,
)
style.tidy(left, "z", "density", "a normal draw")
style.tidy(middle, "z", "x = f(z)", "moved by a spline")
style.tidy(right, "x", "density", "gives this density")
figure

# %% [markdown]
# The curve on the right is the formula, the bars behind it are 20,000 draws that went
# through the map. The formula can be checked in another way: a density has an integral
# of one, whatever the map.

# %%
area = jnp.trapezoid(density, x)
print(f"the integral of the density: {area:.5f}")

# %% [markdown]
# ## Many coordinates
#
# For vectors the stretch is the volume that a small cube becomes, which is the
# determinant of the Jacobian:
#
# $$\log p_X(x) = \log p_Z(z) - \log \left| \det \frac{\partial f}{\partial z}(z) \right|$$
#
# A general determinant costs $D^3$, so flows are made of maps whose Jacobian is
# triangular: its determinant is a product. A *coupling* keeps half of the coordinates
# and moves each of the others by a scalar transform, whose parameters are computed from
# the first half by any network.

# %%
from nfml_jax.bijectors import Coupling
from nfml_jax.nets import MLP

coupling = Coupling(RationalQuadratic(bins=6), MLP(hidden=(32,)))
points = jax.random.normal(jax.random.key(1), (5, 4))
variables = coupling.init(jax.random.key(2), points)
# A new coupling is the identity; move its parameters, so that it does something.
variables = jax.tree.map(
    lambda p: p + 0.1 * jax.random.normal(jax.random.key(4), p.shape), variables
)
moved, log_det = coupling.apply(variables, points)
back, _ = coupling.apply(variables, moved, method="inverse_and_log_det")

jacobian = jax.jacfwd(lambda v: coupling.apply(variables, v)[0])(points[0])
print("Jacobian of one point:")
print(np.round(jacobian, 2))
print(
    f"log |det|: by the coupling {log_det[0]:.5f}, by the Jacobian {jnp.linalg.slogdet(jacobian)[1]:.5f}"
)
print(f"round trip: off by {jnp.abs(back - points).max():.1e} at most")

# %% [markdown]
# These two checks, *the inverse inverts* and *the log-determinant is the Jacobian's*,
# run in the tests over every bijector of the library, and
# `nfml_jax.testing.check_bijector` runs them on yours. The [next page](2_two_circles.md)
# trains such maps.
