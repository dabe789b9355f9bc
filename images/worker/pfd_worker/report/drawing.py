"""Figures as SVG that fits into a page: equal data gives equal bytes, and lines and text take the page's colour."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's text colour until the SVG is written."""
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b5a800", "#8c6bb1")
"""Okabe and Ito, for people who see colours differently; yellow and black replaced, as both drown in a page."""

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pfd",
    # A dollar sign in a name is no formula
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "path.simplify": True,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def drawing(width: float = 5.0, height: float = 3.8) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure with one pair of axes, in inches, in the style of the report."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def to_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element for a page of HTML.

    Parameters
    ----------
    figure
        Drawn inside `drawing`.
    name
        Prefix of all ids: several figures share the page.
    title
        What screen readers say; plain words, it is not escaped.
    """
    with rc_context(_STYLE):
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=_NO_METADATA)
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", stream.getvalue(), flags=re.DOTALL)
    svg = svg[svg.index("<svg") :]
    width, height = 72 * figure.get_size_inches()
    body = svg[svg.index(">") + 1 :].rstrip()
    # Only what is markup: a tick label is no coordinate
    body = re.sub(r"<[^>]+>", lambda tag: _fit_into_page(tag.group(), name), body)
    return f'<svg role="img" aria-label="{title}" viewBox="0 0 {width:g} {height:g}">{body}'


def _fit_into_page(tag: str, name: str) -> str:
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-').replace(INK, "currentColor")
    # A hundredth of a point is less than anyone sees, and half of the bytes
    return re.sub(r"(\d\.\d{2})\d+", r"\1", tag)
