"""The documents that come with this release, and what each figure of the pages means: docs/*.md,
read once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCS = Path(__file__).resolve().parents[1] / "docs"
# What readers of the portal ask for, in reading order; the others are for who works on it.
SHOWN = (
    "metrics",
    "glossary",
    "attribution",
    "reconciliation",
    "rules",
    "drivers",
    "ownership",
    "prices",
    "emitters",
    "accuracy",
    "settings",
)
# A link to a document beside this one, and one to another site or within the document.
BESIDE = re.compile(r"^(?:docs/)?([a-z_]+)\.md(#.*)?$")
ELSEWHERE = re.compile(r"^(?:https?://|#)")


@dataclass(frozen=True)
class Document:
    name: str
    title: str
    text: str  # Markdown

    @property
    def address(self) -> str:
        return reverse("help_document", args=[self.name])

    @property
    def html(self) -> SafeString:
        return _html(self.name)


@cache
def documents() -> tuple[Document, ...]:
    """Those that are there, in reading order."""
    paths = [(name, DOCS / f"{name}.md") for name in SHOWN]
    return tuple(_read(name, path) for name, path in paths if path.is_file())


def document(name: str) -> Document | None:
    return next((each for each in documents() if each.name == name), None)


def _read(name: str, path: Path) -> Document:
    text = path.read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    return Document(name, first.removeprefix("# ").strip(), rest)


@cache
def _html(name: str) -> SafeString:
    """The document without its title; headings can be linked to, tags in the text are text."""
    found = document(name)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    # What does not fit a narrow window is scrolled to, also by keys.
    parser.add_render_rule("table_open", lambda *_: '<div class="table-wrap" tabindex="0"><table>')
    parser.add_render_rule("table_close", lambda *_: "</table></div>")
    tokens = parser.parse(found.text if found else "")
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", slugify(tokens[place + 1].content))
        if token.attrs.pop("style", None) == "text-align:right":  # the policy forbids inline styles
            token.attrSet("class", "num")
        if token.children:
            token.children = list(_leading_inside(token.children))
    rendered: str = parser.renderer.render(tokens, parser.options, {})
    return SafeString(rendered)  # tags in the text are text


def _leading_inside(tokens: Iterable[Token]) -> Iterator[Token]:
    """Links between documents lead to those in the portal; what a link to another file of the
    repository says stays, without the link.
    """
    is_dropped = False
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrGet("href") or "")
            beside = BESIDE.match(address)
            if beside and beside[1] in SHOWN:
                there = reverse("help_document", args=[beside[1]])
                token.attrSet("href", f"{there}{beside[2] or ''}")
            is_dropped = not (beside and beside[1] in SHOWN) and not ELSEWHERE.match(address)
        if not (is_dropped and token.type in ("link_open", "link_close")):
            yield token


# ---------------------------------------------------------------- what a figure means

ROW = re.compile(r"^\| (?P<names>[^|]+) \| (?P<formula>[^|]+) \| (?P<grain>[^|]+) \| [^|]+ \|$")


@dataclass(frozen=True)
class Meaning:
    formula: str
    grain: str
    heading: str  # anchor of the part of docs/metrics.md

    @property
    def address(self) -> str:
        return f"{reverse('help_document', args=['metrics'])}#{self.heading}"


@cache
def meanings() -> Mapping[str, Meaning]:
    """What docs/metrics.md says of each figure, by its name on the pages; the first part that has
    the name counts.
    """
    found: dict[str, Meaning] = {}
    heading = ""
    metrics = document("metrics")
    for line in metrics.text.splitlines() if metrics else ():
        if line.startswith("## "):
            heading = slugify(line.removeprefix("## "))
        row = ROW.match(line)
        if row and row["names"] != "Figure" and not set(row["names"]) <= set("- "):
            for name in row["names"].split(", "):
                found.setdefault(name.strip(), Meaning(row["formula"], row["grain"], heading))
    return found
