"""Formulae as MathML, made when the site is built: browsers need no script for them."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">'
    r"\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>",
    re.DOTALL,
)
# The name of a function, with nothing between it and its argument.
FUNCTION = re.compile(
    r"(<m[io][^>]*>(?:log|exp|sin|cos|det|tr)</m[io]>)(?!<mo stretchy)"
)


def with_mathml(page: str) -> str:
    """Return a page of HTML with its formulae in LaTeX replaced by MathML."""
    return FORMULA.sub(_formula, page)


def _formula(match: re.Match) -> str:
    display = "block" if match["open"] == "[" else "inline"
    mathml = convert(html.unescape(match["tex"]).strip(), display=display)
    mathml = FUNCTION.sub(r'\1<mspace width="0.17em"/>', mathml)
    return mathml if display == "inline" else f'<div class="formula">{mathml}</div>'
