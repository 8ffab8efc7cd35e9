"""Entries that teach the organisation's catalogue what some lines of a bill mean. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

import re2  # what entries' patterns are written in

from allocation.catalogue.entries import BILL, UNIT, Entries, Entry, meaning
from allocation.catalogue.own_entries import LONGEST_TEXT
from allocation.catalogue.vocabulary import canonical_model, fold

LEAST_LIKENESS = 0.6
MOST_ENTRIES = 100  # of one wording


class CannotTeach(ValueError):
    """No entry means just these lines; the message says what to do."""


def entries_for_wording(
    name: str, model: str, *, provider: str | None, own: Collection[str], others: Iterable[str]
) -> Entries:
    """Entries by which lines of these wordings are about the model: one that knows them all by the
    unknown name, where no other line has it, else one for each wording. Raises CannotTeach.
    """
    meant = canonical_model(model)
    by_name = Entry(BILL, provider, _standing_alone(name), model=meant)
    if _knows_all((by_name,), provider, own) and not any(
        meaning((by_name,), BILL, provider, text) for text in others
    ):
        return (by_name,)
    entries = tuple(Entry(BILL, provider, _whole(text), model=meant) for text in sorted(own))
    if len(entries) > MOST_ENTRIES or any(len(each.pattern) > LONGEST_TEXT for each in entries):
        raise CannotTeach(
            "these lines have too many or too long wordings in common with others; write a pattern"
            " by hand (manage.py catalogue export, apply)"
        )
    return entries


def _knows_all(entries: Entries, provider: str | None, texts: Iterable[str]) -> bool:
    return all(meaning(entries, BILL, provider, text) for text in texts)


def _standing_alone(name: str) -> str:
    return f"(?:^|[^a-z0-9.]){re2.escape(name)}(?:[^a-z0-9.]|$)"


def _whole(text: str) -> str:
    return f"^{re2.escape(text)}$"


def entry_for_unit(unit: str, tokens: str, *, provider: str | None) -> Entry:
    return Entry(UNIT, provider, _whole(unit.lower()), tokens=tokens)


def with_taught(entries: Entries, taught: Iterable[Entry]) -> Entries:
    """The catalogue with the taught entries before all others."""
    new = tuple(dict.fromkeys(taught))
    return (*new, *(each for each in entries if each not in new))


def likely_model(name: str, models: Sequence[str]) -> str | None:
    """The model whose name is most like the unknown one; None where none is."""
    by_fold = {fold(model): model for model in sorted(models, reverse=True)}
    found = get_close_matches(fold(name), by_fold, n=1, cutoff=LEAST_LIKENESS)
    return by_fold[found[0]] if found else None
