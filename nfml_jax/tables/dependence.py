"""Columns that are linear functions of others, perhaps only for lack of rows."""

import numpy as np

from nfml_jax.tables.scales import center_and_scale, standardized
from nfml_jax.tables.steps import grid_step

CLOSE = 1.5e-3
"""Standard deviation left of a column, in units of its own, that is none: two columns
whose correlation is above 1 - 1e-6 leave each other that much."""
MOST_NAMED = 256
"""Columns up to which the equations are written down."""
_NEGLIGIBLE = 0.02
_FEW_ROWS = 2000


def dependences(x: np.ndarray, names: list[str]) -> list[str]:
    """Return an equation such as "d = 2a + b" for each column that others determine.

    Args:
      x: rows `[N, D]` of columns that vary.
      names: the names of the columns.

    A sum of rounded numbers is determined only up to the steps of its terms.
    """
    count, width = x.shape
    if width < 2 or count <= width:
        return []
    few = x[:: -(-count // max(_FEW_ROWS, 4 * width))]
    center, scale = center_and_scale(few)
    if not (scale > 0).all():
        return []
    z = standardized(few, center, scale)
    steps = np.array([grid_step(column) for column in few.T])
    rounding = steps / scale / np.sqrt(12)
    left = np.abs(np.diag(np.linalg.qr(z, mode="r"))) / np.sqrt(len(z))
    # The residuals after earlier columns: only later columns are ever suspects.
    suspects = np.flatnonzero(left < np.maximum(CLOSE, 10 * rounding.max()))
    if not len(suspects):
        return []
    if width > MOST_NAMED:
        return [f"{names[i]} by columns before it" for i in suspects if left[i] < CLOSE]
    independent, found = [], []
    for i in range(width):
        if i not in suspects or not independent:
            independent.append(i)
            continue
        basis = z[:, independent]
        weights = np.linalg.lstsq(basis, z[:, i], rcond=None)[0]
        rest = (z[:, i] - basis @ weights).std()
        from_rounding = np.hypot(
            rounding[i], np.linalg.norm(weights * rounding[independent])
        )
        if rest > max(CLOSE, 1.5 * from_rounding) or rest > 0.1:
            independent.append(i)
            continue
        used = [j for j, w in enumerate(weights) if abs(w) > max(_NEGLIGIBLE, 4 * rest)]
        if not used:
            used = list(range(len(independent)))
        # A second fit with the remaining columns gives round numbers.
        places = [independent[j] for j in used]
        raw = np.column_stack([few[:, places] - center[places]]) / scale[places]
        weights = (
            np.linalg.lstsq(raw, z[:, i], rcond=None)[0] * scale[i] / scale[places]
        )
        constant = center[i] - weights @ center[places]
        if abs(constant) < 1e-6 * (
            abs(center[i]) + np.abs(weights) @ np.abs(center[places])
        ):
            constant = 0.0
        found.append(_equation(names[i], [names[j] for j in places], weights, constant))
    return found


def _equation(name, names, weights, constant) -> str:
    """Return "d = 2a + b", or "a + b + d = 1" for shares."""
    if np.allclose(weights, -1, atol=5e-3) and constant:
        return f"{' + '.join([*names, name])} = {_round(constant)}"
    terms = [(w, n) for w, n in zip(weights, names, strict=True)]
    words = ""
    for weight, term in terms:
        sign = " - " if weight < 0 else " + "
        size = _round(abs(weight))
        gap = " " if not term[:1].isalpha() or (size != "1" and len(term) > 1) else ""
        words += sign + (term if size == "1" else f"{size}{gap}{term}")
    if constant:
        words += f" {'-' if constant < 0 else '+'} {_round(abs(constant))}"
    words = words[3:] if words.startswith(" + ") else "-" + words[3:]
    return f"{name} = {words}"


def _round(value: float) -> str:
    """Return a number in three digits; an integer if rounding made it nearly one."""
    nearest = round(value)
    if nearest and abs(value - nearest) < 5e-3 * nearest:
        return f"{nearest:g}"
    return f"{value:.3g}"
