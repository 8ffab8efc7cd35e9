"""What is known of an emitter by its instrumentation scope: the reviewed rows of emitters.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("emitters.toml")
OBSERVERS = ("application", "gateway")
COUNTS = ("inclusive", "exclusive")
PAIRS = ("stream_log",)
GATEWAYS = ("litellm", "gateway", "portkey", "kong", "openrouter", "helicone")


@dataclass(frozen=True)
class Emitter:
    """One row of the table; the row of a scope that it does not name says nothing."""

    scope: str
    seen: str = ""
    first: str | None = None  # version
    below: str | None = None
    observer: str | None = None
    counts: str | None = None
    no_calls: frozenset[str] = frozenset()
    pairs: str | None = None
    made_up: re.Pattern[str] | None = None
    passes_on: frozenset[str] = frozenset()  # providers
    by_default: Mapping[str, str] = field(default_factory=dict)
    chatty: bool = False

    def is_of(self, scope: str, version: str) -> bool:
        named = scope.startswith(self.scope[:-1]) if self.scope[-1:] == "*" else scope == self.scope
        if not named or not (self.first or self.below):
            return named
        at = numbers(version)
        return (self.first is None or at >= numbers(self.first)) and (
            self.below is None or at < numbers(self.below)
        )

    def makes_up(self, response_id: str, provider: str | None) -> bool:
        """Whether this id of an answer is the emitter's own: it proves nothing."""
        if self.made_up is None or provider in self.passes_on:
            return False
        return self.made_up.match(response_id) is not None

    def sees(self, scope: str, service: str | None) -> str:
        """Who saw the call: the application that made it, or a gateway on its way."""
        if self.observer:
            return self.observer
        names = f"{scope} {service or ''}".lower()
        return "gateway" if any(name in names for name in GATEWAYS) else "application"


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to compare with others: 1.10.0rc1 is (1, 10, 0)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def read_emitters(rows: Sequence[Mapping[str, Any]]) -> list[Emitter]:
    """The rows as values. Raises ValueError at a word that has no meaning here."""
    found = []
    for row in rows:
        told = dict(row)
        for name, words in (("observer", OBSERVERS), ("counts", COUNTS), ("pairs", PAIRS)):
            if told.get(name) not in (None, *words):
                raise ValueError(f"{row['scope']}: {name} {told[name]!r} is none of {words}")
        made_up = told.pop("made_up", None)
        found.append(
            Emitter(
                first=told.pop("from", None),
                no_calls=frozenset(told.pop("no_calls", ())),
                made_up=re.compile(made_up) if made_up else None,
                passes_on=frozenset(told.pop("except", ())),
                **told,
            )
        )
    return found


@cache
def emitters() -> list[Emitter]:
    """The reviewed table."""
    return read_emitters(tomllib.loads(TABLE.read_text(encoding="utf-8"))["emitter"])


@lru_cache(maxsize=4096)
def emitter_of(scope: str, version: str = "") -> Emitter:
    """The first row of this scope and version."""
    rows = (row for row in emitters() if row.is_of(scope, version))
    return next(rows, Emitter(scope=scope))
