"""A rules document as text: where each entry stands, and what YAML alone lets pass unseen. Pure.

The text is read twice. `meaning` is what the parser of rules works with. `as_written` keeps every
scalar as the characters that stand there, and knows the line of each.

YAML takes the last of two equal keys without a word, and lets an alias name what holds it; both are
told here, with their line, before the rules are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.parser import Parser
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scanner import Scanner

MOST_CHARACTERS = 1_000_000
MOST_NODES = 500_000  # with aliases written out
DEEPEST = 100
WIDTH = 110  # of lines that are written anew
SECTIONS = {"rules": "rule", "scope": "scope", "phase": "phase", "pools": "pool"}


@dataclass(frozen=True)
class BadText(Exception):
    """Text that is no usable YAML; `line` counts from 1."""

    what: str
    line: int | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" if self.line else self.what


@dataclass(frozen=True)
class RuleEntry:
    """One entry of a section. `number` counts from 1, `spec` is what it means."""

    kind: str  # rule, scope, phase, pool
    number: int
    name: str
    spec: Any
    line: int
    written: Any

    def line_of(self, value: str) -> int:
        """Where the value is written within the entry; the entry's own line where it is not."""
        return next((line for text, line in _scalars(self.written) if text == value), self.line)

    def line_of_key(self, key: str) -> int:
        """Where the key stands in the entry; the entry's own line where it does not."""
        if isinstance(self.written, CommentedMap) and key in self.written:
            return int(self.written.lc.key(key)[0]) + 1
        return self.line


@dataclass(frozen=True)
class RuleText:
    """The entries of a document in order, and the lines of its top keys."""

    entries: tuple[RuleEntry, ...] = ()
    sections: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> list[RuleEntry]:
        return [entry for entry in self.entries if entry.kind == kind]

    def numbered(self, kind: str, number: int) -> RuleEntry | None:
        return next((entry for entry in self.of(kind) if entry.number == number), None)

    def named(self, kind: str, name: str, *, last: bool = False) -> RuleEntry | None:
        found = [entry for entry in self.of(kind) if entry.name == name]
        return found[-1 if last else 0] if found else None


def read_text(text: str) -> RuleText:
    """Raises BadText for what is no YAML, too large, written twice or refers to itself."""
    if len(text) > MOST_CHARACTERS:
        raise BadText(f"it has {len(text)} characters; at most {MOST_CHARACTERS} are possible")
    document = meaning(text)
    return _entries(as_written(text), document)


# ---------------------------------------------------------------- meaning


def meaning(text: str) -> Any:
    """What YAML makes of the text. Raises BadText.

    libyaml is ten times as fast as what is written in Python. But a text that is nested deeply
    enough overflows its stack, which ends the process, so a first pass looks at the bare events.
    """
    try:
        _check_events(yaml.parse(text, Loader=yaml.CSafeLoader))
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else None  # not behind the end
        what = str(error.problem).replace("expected node content", "a value")
        raise BadText(f"not valid YAML: {what}", line) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        # A day such as 2026-13-01, or a scalar that is not what its tag says.
        raise BadText(f"not valid YAML: {error}") from None


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end was not read yet; `size` counts its nodes, aliases written
    out.
    """

    anchor: str | None
    line: int
    size: int = 1


def _check_events(events: Iterator[Any]) -> None:
    """Refuses what is nested too deeply, names what holds it, or grows by aliases; builds
    nothing.
    """
    sizes: dict[str | None, int] = {}
    opened = [_Open(None, 1)]
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append(_Open(event.anchor, line))
            if len(opened) > DEEPEST:
                raise BadText("it is nested too deeply", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = opened.pop()
            sizes[ended.anchor] = ended.size
            opened[-1].size += ended.size
            if ended.size > MOST_NODES:
                raise BadText("its aliases, written out, are too much", ended.line)
        elif isinstance(event, yaml.AliasEvent):
            if around := [each for each in opened if each.anchor == event.anchor]:
                raise BadText("an alias names what holds it", around[0].line)
            opened[-1].size += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            opened[-1].size += 1


# ---------------------------------------------------------------- as written


class _Resolver(VersionedResolver):
    """Every scalar is text: `yes`, `007` and `1e3` stay what they are, and `<<` is a key."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is ScalarNode:
            return self.DEFAULT_SCALAR_TAG
        return super().resolve(kind, value, implicit)

    @property
    def processing_version(self) -> tuple[int, int]:
        """Of YAML: libyaml's."""
        return (1, 1)


class _Constructor(RoundTripConstructor):
    """Keys stand once, and the line of the second is told."""

    def check_mapping_key(
        self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any
    ) -> bool:
        if key in mapping:
            raise BadText(f"`{key}` stands twice in one mapping", key_node.start_mark.line + 1)
        return True


def round_trip() -> YAML:
    """Reads a text as it is written, and writes it so again: comments, order, anchors, quotes."""
    made = YAML(typ="rt", pure=True)
    made.Resolver, made.Constructor = _Resolver, _Constructor
    made.preserve_quotes = True
    made.width = WIDTH
    return made


def as_written(text: str) -> Any:
    """The mappings, lists and scalars of a text that has a meaning; they know their lines.

    Comments are left out: some that are legal, such as one between a key and its value, are more
    than the library can hold. Raises BadText.
    """
    reader = round_trip()
    reader.Scanner, reader.Parser = Scanner, Parser
    try:
        return reader.load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = str(error).partition("\n")[0]
        raise BadText(f"not valid YAML: {what}", mark.line + 1 if mark else None) from None


def _entries(written: Any, document: Any) -> RuleText:
    if not isinstance(written, CommentedMap) or not isinstance(document, dict):
        return RuleText()
    entries: list[RuleEntry] = []
    for section, texts in written.items():
        specs = document.get(section)
        if section not in SECTIONS or not isinstance(texts, CommentedSeq) or not specs:
            continue
        for number, (text, spec) in enumerate(zip(texts, specs, strict=True), 1):
            name = spec.get("name") if isinstance(spec, dict) else None
            told = name.strip() if isinstance(name, str) else ""
            line = int(texts.lc.item(number - 1)[0]) + 1
            entries.append(RuleEntry(SECTIONS[section], number, told, spec, line, text))
    lines = {str(key): int(written.lc.key(key)[0]) + 1 for key in written}
    return RuleText(tuple(entries), lines)


def _scalars(written: Any, line: int = 0) -> Iterator[tuple[str, int]]:
    """Each scalar in order, with its line."""
    if isinstance(written, CommentedMap):
        for key, value in written.items():
            yield from _scalars(value, written.lc.value(key)[0] + 1)
    elif isinstance(written, CommentedSeq):
        for place, item in enumerate(written):
            yield from _scalars(item, written.lc.item(place)[0] + 1)
    else:
        yield str(written), line
