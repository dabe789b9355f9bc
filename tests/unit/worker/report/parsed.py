"""A page as a browser's parser sees it."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = {"meta", "br", "link", "img", "input", "hr"}


class ParsedPage(HTMLParser):
    """Elements, their attributes and the text in them; refuses markup that does not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.figures: dict[str, list[str]] = {}
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.figure: str | None = None
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "figure":
            self.figure = dict(attrs)["id"]
            self.figures[str(self.figure)] = []
        elif self.figure:
            self.figures[self.figure].append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"
        if tag == "figure":
            self.figure = None

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += f"{data} "

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def ids(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "id"]

    def row(self, first: str) -> list[str]:
        """The cells of the one row that begins so."""
        (found,) = [row for row in self.rows if row and row[0].strip() == first]
        return [cell.strip() for cell in found]
