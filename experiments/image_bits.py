"""The bits of images, by the layers of a flow and the scales of its latents."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nfml_jax import plots
from nfml_jax.flows.log_dets import LogDetPart

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BitsByPart:
    """The log-density of some images, by layers of a flow and scales of its latents.

    Args:
      image_shape: the shape of an image.
      levels: the number of levels of a pixel.
      log_dets: the log-determinants of the layers.
      latents: the log-density of each latent, `[N, *latent]`.
      scales: the scale of each latent, from 1, `[*latent]`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        levels: int,
        log_dets: Sequence[LogDetPart],
        latents: np.ndarray,
        scales: np.ndarray,
    ):
        self.image_shape, self.levels = image_shape, levels
        self.log_dets, self.latents, self.scales = log_dets, latents, scales
        self.limited = [part for part in log_dets if np.isfinite(part.limit)]

    def limits_used(self) -> dict[str, float]:
        """Return the largest share of its log-determinant's limit that a layer uses.

        It is a mean over images, and there is one for each scale, by the shape of
        its events. Layers that use most of their limit lack a wider one, or more
        layers.
        """
        used: dict[str, float] = {}
        for part in self.limited:
            name = _shape(part.scale).replace("×", "x")
            mean = float(part.used.mean())
            used[f"{name}/used"] = max(used.get(f"{name}/used", 0.0), mean)
        return used

    def draw_limits(self) -> "Figure":
        """Draw the share of its limit that the log-determinant of each layer uses."""
        names = [" ".join(part.name.split("/")[1:]) for part in self.limited]
        groups = [f"{_shape(part.scale)} events" for part in self.limited]
        used = np.stack([part.used for part in self.limited])
        title = (
            "log-determinants of layers, of their limits: median of "
            f"{used.shape[1]} test images, and 5 to 95 %"
        )
        return plots.log_det_use(names, used, title, groups)

    def draw(self) -> "Figure":
        """Draw what layers of a kind and the latents of a scale add to the bits."""
        size = np.log(2) * math.prod(self.image_shape)
        shapes = dict.fromkeys(part.scale for part in self.log_dets)
        found: dict[str, dict[str, float]] = {_shape(shape): {} for shape in shapes}
        for part in self.log_dets:
            name = part.name.split("/")[-1].split()[0]
            bits = found[_shape(part.scale)]
            bits[name] = bits.get(name, 0.0) - part.log_det.mean() / size
        last = int(self.scales.max())
        of_scales = [*found][-last:] if len(found) >= last else [""] * last
        for scale, shape in zip(range(1, last + 1), of_scales, strict=True):
            bits = -self.latents[:, self.scales == scale].sum(axis=1).mean() / size
            found.setdefault(shape, {})[f"latents of scale {scale}"] = bits
        found["levels"] = {f"log2 {self.levels}": np.log2(self.levels)}
        title = "where the bits come from: 1 draw of noise"
        return plots.bits_by_part({k: v for k, v in found.items() if v}, title)


def _shape(shape) -> str:
    return "×".join(map(str, shape))
