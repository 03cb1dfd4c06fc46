"""Formulae of heads and losses, written in Unicode there, as LaTeX."""

import re

FUNCTIONS = {"cos", "exp", "log", "max", "min"}
NAMES = {"mean", "softmax", "var"}
SYMBOLS = {
    **{"θ": r"\theta ", "φ": r"\varphi ", "λ": r"\lambda ", "β": r"\beta "},
    **{"σ": r"\sigma ", "π": r"\pi ", "ψ": r"\psi ", "ν": r"\nu ", "τ": r"\tau "},
    **{"Σ": r"\sum ", "·": r"\cdot ", "‖": r"\|", "≠": r"\ne ", "≤": r"\le "},
    **{"₊": "_{+}", "₋": "_{-}", "₁": "_{1}", "₂": "_{2}", "²": "^{2}", "³": "^{3}"},
    **{"ẑ": r"\hat{z}", "x̂": r"\hat{x}", "p̂": r"\hat{p}", "ŵ": r"\hat{w}"},
    **{"±": r"\pm ", ",": r",\enspace "},
    **{"[": r"\lbrack ", "]": r"\rbrack ", "*": "^{*}", "′": "'"},
}
PIECE = re.compile(
    r"(?P<index>_\{[^{}]*\}|_[A-Za-z]+|\^\d+)"
    r"|(?P<root>√\((?P<under>[^()]*)\)|√(?P<number>\d+))"
    r"|(?P<words>[a-z]{2,})"
    r"|(?P<sign>[xp]̂|.)",
    re.DOTALL,
)


def to_tex(formula: str) -> str:
    """Return a formula such as "cos(θ + 0.5)" in LaTeX."""
    return "".join(_piece(m) for m in PIECE.finditer(formula)).strip()


def _piece(match: re.Match) -> str:
    if index := match["index"]:
        inner = index[1:].strip("{}")
        return f"{index[0]}{{{_index(inner)}}}"
    if match["root"]:
        return rf"\sqrt{{{to_tex(match['under'] or match['number'])}}}"
    if words := match["words"]:
        if words in FUNCTIONS:
            return rf"\{words} "
        if words in NAMES:
            return rf"\operatorname{{{words}}}"
        return rf"\text{{ {words} }}"
    return SYMBOLS.get(match["sign"], match["sign"])


def _index(inner: str) -> str:
    """Return an index: letters side by side are indices of their own."""
    return "".join(SYMBOLS.get(sign, sign) for sign in inner)
