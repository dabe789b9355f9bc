"""The few pieces of HTML a report is made of. Whatever comes in as text goes out escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """A table cell: a value, and something smaller under it."""

    text: str
    below: str = ""


def paragraph(text: str, quiet: bool = False) -> str:
    """Return a paragraph of text."""
    kind = ' class="quiet"' if quiet else ""
    return f"<p{kind}>{escape(text)}</p>"


def section(name: str, title: str, *parts: str) -> str:
    """Return a section under a heading; parts are markup."""
    return f'<section id="{name}"><h2>{escape(title)}</h2>{"".join(parts)}</section>\n'


def figure(name: str, svg: str, caption: str) -> str:
    """Return a figure; the SVG is markup, the caption is text."""
    return f'<figure id="figure-{name}">{svg}<figcaption>{escape(caption)}</figcaption></figure>\n'


def figures(*parts: str) -> str:
    """Return figures side by side where there is room."""
    return f'<div class="figures">{"".join(parts)}</div>'


def table(
    header: Sequence[Cell | str], rows: Sequence[Sequence[Cell | str]], best: int | None = None, left: bool = False
) -> str:
    """Return a table; row number `best` is marked, and text instead of numbers goes to the left."""
    head = "".join(f'<th scope="col">{_content(cell)}</th>' for cell in header)
    body = "".join(_row(row, number == best) for number, row in enumerate(rows))
    kind = ' class="left"' if left else ""
    return f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'


def details(summary: str, *parts: str) -> str:
    """Return parts that unfold; parts are markup."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>\n"


def preformatted(text: str) -> str:
    """Return text with its line breaks."""
    return f"<pre>{escape(text)}</pre>"


def _row(row: Sequence[Cell | str], best: bool) -> str:
    kind = ' class="best"' if best else ""
    return f"<tr{kind}>{''.join(f'<td>{_content(cell)}</td>' for cell in row)}</tr>"


def _content(content: Cell | str) -> str:
    cell = Cell(content) if isinstance(content, str) else content
    return escape(cell.text) + (f"<small>{escape(cell.below)}</small>" if cell.below else "")
