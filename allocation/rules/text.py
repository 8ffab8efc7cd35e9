"""A rules document as text: where each entry stands, and what YAML alone lets pass unseen. Pure.

YAML takes the last of two equal keys without a word, and lets an alias name what holds it; both are
told here, with their line, before the rules are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MOST_CHARACTERS = 1_000_000
MOST_NODES = 500_000  # with aliases written out
SECTIONS = {"rules": "rule", "scope": "scope", "pools": "pool"}


@dataclass(frozen=True)
class BadText(Exception):
    """Text that is no usable YAML; `line` counts from 1."""

    what: str
    line: int | None = None


@dataclass(frozen=True)
class Entry:
    """One entry of a section. `number` counts from 1, `node` is what YAML composed of it, `spec`
    what it means.
    """

    kind: str  # rule, scope, pool
    number: int
    name: str
    spec: Any
    node: yaml.Node

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def line_of(self, value: str) -> int:
        """Where the value is written within the entry; the entry's own line where it is not."""
        found = (node for node in _scalars(self.node) if node.value == value)
        return int(next(found, self.node).start_mark.line) + 1

    def line_of_key(self, key: str) -> int:
        """Where the key stands in the entry; the entry's own line where it does not."""
        pairs = self.node.value if isinstance(self.node, yaml.MappingNode) else []
        found = (name for name, _ in pairs if name.value == key)
        return int(next(found, self.node).start_mark.line) + 1


@dataclass(frozen=True)
class RuleText:
    """The entries of a document in order, and the lines of its top keys."""

    entries: tuple[Entry, ...] = ()
    sections: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]

    def numbered(self, kind: str, number: int) -> Entry | None:
        return next((entry for entry in self.of(kind) if entry.number == number), None)

    def named(self, kind: str, name: str, *, last: bool = False) -> Entry | None:
        found = [entry for entry in self.of(kind) if entry.name == name]
        return found[-1 if last else 0] if found else None


def read_text(text: str) -> RuleText:
    """Raises BadText for what is no YAML, too large, written twice or refers to itself."""
    if len(text) > MOST_CHARACTERS:
        raise BadText(f"it has {len(text)} characters; at most {MOST_CHARACTERS} are possible")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            return RuleText()
        _check_node(root, {})
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadText(
            f"not valid YAML: {_plain_problem(error)}", mark.line + 1 if mark else None
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2026-13-01 is a ValueError
        raise BadText(f"not valid YAML: {error}") from None
    except RecursionError:
        raise BadText("it is nested too deeply") from None
    return _entries(root, document)


def _plain_problem(error: yaml.MarkedYAMLError) -> str:
    """The parser's words, with the end of the text called that."""
    return (
        str(error.problem)
        .replace("'<stream end>'", "the end of the text")
        .replace("the node content", "a value")
    )


def _entries(root: yaml.Node, document: Any) -> RuleText:
    if not isinstance(root, yaml.MappingNode) or not isinstance(document, dict):
        return RuleText()
    entries: list[Entry] = []
    sections = {}
    for key, value in root.value:
        sections[str(key.value)] = key.start_mark.line + 1
        specs = document.get(key.value)
        if (
            key.value in SECTIONS
            and isinstance(value, yaml.SequenceNode)
            and isinstance(specs, list)
        ):
            for number, (node, spec) in enumerate(zip(value.value, specs, strict=True), 1):
                name = spec.get("name") if isinstance(spec, dict) else None
                told = name.strip() if isinstance(name, str) else ""
                entries.append(Entry(SECTIONS[key.value], number, told, spec, node))
    return RuleText(tuple(entries), sections)


def _check_node(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many nodes it stands for, aliases written out; None in `known` while they are being
    counted.
    """
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise BadText("an alias names what holds it", node.start_mark.line + 1)
        return size
    known[id(node)] = None
    size = 1
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise BadText(f"`{key.value}` stands twice in one mapping", key.start_mark.line + 1)
            keys.add(str(key.value))
            size += 1 + _check_node(value, known)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check_node(item, known) for item in node.value)
    if size > MOST_NODES:
        raise BadText("its aliases, written out, are too much", node.start_mark.line + 1)
    known[id(node)] = size
    return size


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _scalars(value)
