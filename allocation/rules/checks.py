"""What is wrong, or only odd, about a draft of the rules, and what each rule would take of a
month's charges. Pure.

`check_rules` is fed with plain values: the text, and a `RuleTestData` of a month's charges and the
names that the tree knows. Errors make a draft unusable; warnings name a rule that does less than
its author may think.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from allocation.rules.conditions import Facts, is_row_column
from allocation.rules.methods import PROPORTIONAL, SERIES, WHOLE, Split, percent_text
from allocation.rules.rules import Rule, RuleError, Rules, parse_rules
from allocation.rules.text import BadText, RuleEntry, RuleText, read_text
from allocation.values.names import quoted

ERROR, WARNING = "error", "warning"
SERIES_NAMED = 5  # of those that are there, beside one that is not


@dataclass(frozen=True)
class Finding:
    """One thing to put right: where, what, and how. `line` counts from 1 in the text, None where
    none is to blame.
    """

    level: str
    subject: str  # rule 'Tax', pool 'platform', the document
    what: str
    remedy: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.subject}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class ChargeShape:
    """Charges of one source and currency that no rule of the document can tell apart; `facts` are
    those of any one.
    """

    facts: Facts
    source: str
    currency: str
    charges: int
    billed_cost: Decimal
    effective_cost: Decimal


def _anything(_: str) -> bool:
    return True


@dataclass(frozen=True)
class RuleTestData:
    """What checks look at beside the text. Without a tree `teams` is 0 and every name is known.

    `series` are the uploaded ones and their months; None: nobody looked, and every series is taken
    as there.
    """

    month: date  # whose charges these are
    shapes: Sequence[ChargeShape] = ()
    teams: int = 0
    knows_team: Callable[[str], bool] = _anything
    knows_feature: Callable[[str], bool] = _anything
    series: Mapping[str, frozenset[date]] | None = None


@dataclass(frozen=True)
class MatchedRules:
    """Which rule takes each shape, in the order of the test data; None: no rule does."""

    rules: Rules
    shapes: Sequence[ChargeShape] = ()
    by: Sequence[Rule | None] = ()

    def of(self, rule: Rule) -> list[ChargeShape]:
        return [shape for shape, taker in zip(self.shapes, self.by, strict=True) if taker is rule]

    @property
    def unmatched(self) -> list[ChargeShape]:
        return [shape for shape, taker in zip(self.shapes, self.by, strict=True) if taker is None]


@dataclass(frozen=True)
class Checked:
    """`matched` is None where errors leave no rules to try."""

    findings: tuple[Finding, ...] = ()
    matched: MatchedRules | None = None
    entries: RuleText = field(default_factory=RuleText)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == ERROR]


def check_rules(text: str, *, effective_from: date, data: RuleTestData) -> Checked:
    """Everything found about the draft, errors first, then by line."""
    try:
        entries = read_text(text)
    except BadText as bad:
        return Checked((Finding(ERROR, "the document", bad.what, line=bad.line),))
    try:
        rules = parse_rules(text)
    except RuleError as error:
        return Checked(
            tuple(_located(problem, entries) for problem in error.problems), entries=entries
        )
    matched = MatchedRules(
        rules,
        data.shapes,
        [rules.rule_for(shape.facts, month=data.month) for shape in data.shapes],
    )
    found = [
        *_unknown_names(entries, data),
        *_missing_series(rules, entries, data),
        *_bounds(rules, entries, data),
        *_pools(rules, entries),
        *_unmatched(rules, entries, matched, data, effective_from),
    ]
    found.sort(key=lambda finding: (finding.level != ERROR, finding.line or 0))
    return Checked(tuple(found), matched, entries)


# ---------------------------------------------------------------- what the parser says

NUMBERED = re.compile(r"(rule|scope|phase|pool) (\d+)(?: \((.*?)\))?: (.*)", re.DOTALL)
QUOTED = re.compile(r"(rule|pool) '(.*?)'(?:: | (?=stands twice))(.*)", re.DOTALL)
CIRCLE = re.compile(r"the order is a circle: ((rule|pool) (.*?) > .*)", re.DOTALL)
SECTION = re.compile(r"there is no section '(.*?)'")


def _located(problem: str, entries: RuleText) -> Finding:
    """The parser's problem with the line it is about."""
    if found := NUMBERED.fullmatch(problem):
        kind, number, name, what = found.groups()
        entry = entries.numbered(kind, int(number))
        return Finding(
            ERROR,
            f"{kind} {quoted(name)}" if name else f"{kind} {number}",
            what,
            line=entry.line if entry else None,
        )
    if found := QUOTED.fullmatch(problem):
        kind, name, what = found.groups()
        is_double = what.startswith("stands twice")
        entry = entries.named(kind, name, last=is_double)
        remedy = (
            "give it another name, or months of its own by valid_from and valid_to"
            if is_double
            else ""
        )
        return Finding(ERROR, f"{kind} {quoted(name)}", what, remedy, entry.line if entry else None)
    if found := CIRCLE.fullmatch(problem):
        entry = entries.named(found[2], found[3])
        remedy = "let one of them go to teams, or be split by something else than cost"
        return Finding(
            ERROR,
            f"{found[2]} {quoted(found[3])}",
            f"circle {found[1]}",
            remedy,
            entry.line if entry else None,
        )
    section = SECTION.match(problem)
    return Finding(
        ERROR, "the document", problem, line=entries.sections.get(section[1]) if section else 1
    )


# ---------------------------------------------------------------- names


def _unknown_names(entries: RuleText, data: RuleTestData) -> Iterator[Finding]:
    """Teams and features that rules name by text and the tree does not know."""
    if not data.teams:
        return
    for entry in entries.entries:
        for spec in _owners_of(entry.spec):
            for team in _told(spec, "team"):
                if not data.knows_team(team):
                    what = (
                        f"there is no team {quoted(team)} in the tree, so its cost would stay "
                        "unallocated"
                    )
                    remedy = "write it as the tree does, or add the team first"
                    yield Finding(ERROR, _subject(entry), what, remedy, entry.line_of(team))
            for feature in _told(spec, "feature"):
                if not data.knows_feature(feature):
                    what = (
                        f"there is no feature {quoted(feature)} in the tree, so it has neither "
                        "product nor owner"
                    )
                    remedy = "write it as the tree does, or add the feature"
                    yield Finding(WARNING, _subject(entry), what, remedy, entry.line_of(feature))


def _owners_of(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("target", "owner"):
        if isinstance(spec.get(key), dict):
            yield spec[key]
    for key in ("shares", "among"):
        if isinstance(spec.get(key), list):
            yield from spec[key]


def _told(spec: dict[str, Any], name: str) -> list[str]:
    """Names as written: a text, an inferred one, or the values of a map. Tags and patterns need the
    charge.
    """
    value = spec.get(name)
    if isinstance(value, dict) and "inferred" in value:
        return [str(value["inferred"])]
    if isinstance(value, dict):
        return sorted({str(each) for each in value["map"].values()}) if "map" in value else []
    return [] if value is None else [str(value)]


def _subject(entry: RuleEntry) -> str:
    return f"{entry.kind} {quoted(entry.name)}"


def _missing_series(rules: Rules, entries: RuleText, data: RuleTestData) -> Iterator[Finding]:
    """Series that rules and pools are split by and nobody uploaded: for any month, or for the month
    of the charges.
    """
    if data.series is None:
        return
    for entry, split, is_asked in _splits(rules, entries, data.month):
        series = split.series
        if series is None or data.month in data.series.get(series, ()):
            continue
        line = entry.line_of_key("series" if split.driver == SERIES else "by")
        if series not in data.series:
            there = ", ".join(map(quoted, sorted(data.series)[:SERIES_NAMED]))
            what = (
                f"there is no series {quoted(series)} for any month, so its cost would stay "
                "unallocated"
            )
            remedy = (
                f"upload it first, or take one that is there: {there}"
                if there
                else "upload it first"
            )
            yield Finding(ERROR, _subject(entry), what, remedy, line)
        elif is_asked:
            month = f"{data.month:%B %Y}"
            what = (
                f"series {quoted(series)} has nothing for {month}, so its cost of that month would "
                "stay unallocated"
            )
            newest = max(data.series[series])
            yield Finding(
                WARNING,
                _subject(entry),
                what,
                f"upload {month}; its newest month is {newest:%B %Y}",
                line,
            )


def _splits(
    rules: Rules, entries: RuleText, month: date
) -> Iterator[tuple[RuleEntry, Split, bool]]:
    """Every split with its entry, and whether it is asked in the month: a rule's own months, a
    pool's fillers'.
    """
    filled: set[str] = set()
    reached = [pool for rule in rules.rules if rule.is_valid_in(month) for pool in rule.pools]
    while reached:
        pool = reached.pop()
        if pool not in filled:
            filled.add(pool)
            reached += rules.pools[pool].pools
    for rule, entry in zip(rules.rules, entries.of("rule"), strict=True):
        if rule.split:
            yield entry, rule.split, rule.is_valid_in(month)
    for entry in entries.of("pool"):
        yield entry, rules.pools[entry.name], entry.name in filled


# ---------------------------------------------------------------- splits


def _bounds(rules: Rules, entries: RuleText, data: RuleTestData) -> Iterator[Finding]:
    """Minimums that ask for more than there is, and caps that leave something over."""
    wholes = [("rule", rule.name, rule.split) for rule in rules.rules if rule.split]
    wholes += [("pool", name, split) for name, split in rules.pools.items()]
    for kind, name, split in wholes:
        entry = entries.named(kind, name)
        line = entry.line if entry else None
        count = data.teams if split.every_team else len(split.members)
        if split.method != PROPORTIONAL or not count:
            continue
        if _times(split.min_share, count) > WHOLE:
            what = (
                f"a minimum of {percent_text(split.min_share or WHOLE)}% for each of {count} teams "
                "is more than 100%"
            )
            yield Finding(
                ERROR,
                f"{kind} {quoted(name)}",
                what,
                "lower min_share, or name fewer who share",
                line,
            )
        most = _times(split.max_share, count)
        if split.max_share is not None and most < WHOLE:
            what = (
                f"a cap of {percent_text(split.max_share)}% for each of {count} leaves"
                f" {percent_text(WHOLE - most)}% unallocated"
            )
            yield Finding(
                WARNING,
                f"{kind} {quoted(name)}",
                what,
                "raise max_share, or name more who share",
                line,
            )


def _times(share: Fraction | None, count: int) -> Fraction:
    return (share or Fraction(0)) * count


def _pools(rules: Rules, entries: RuleText) -> Iterator[Finding]:
    for entry in entries.of("pool"):
        if entries.named("pool", entry.name) is not entry:
            yield Finding(
                ERROR, _subject(entry), "stands twice", "give it another name", entry.line
            )
    splits: Iterable[Split] = rules.pools.values()
    filled = {pool for rule in rules.rules for pool in rule.pools} | {
        pool for split in splits for pool in split.pools
    }
    for entry in entries.of("pool"):
        if entry.name not in filled:
            remedy = "name it as a target or among those who share, or take it out"
            yield Finding(WARNING, _subject(entry), "nothing fills it", remedy, entry.line)


# ---------------------------------------------------------------- order


def _unmatched(
    rules: Rules, entries: RuleText, matched: MatchedRules, data: RuleTestData, effective_from: date
) -> Iterator[Finding]:
    """Rules that take nothing: ended before they begin, hidden behind earlier ones, or without any
    such charge.
    """
    written = entries.of("rule")  # as many, in the same order, where the parser took them all
    for number, (rule, entry) in enumerate(zip(rules.rules, written, strict=True)):
        subject, line = _subject(entry), entry.line
        if rule.valid_to is not None and rule.valid_to <= effective_from:
            what = (
                f"it ends before {effective_from:%B %Y}, from which on these rules shall be in "
                "force"
            )
            yield Finding(WARNING, subject, what, "take it out, or give it later months", line)
            continue
        cover = _covering(rule, entry, list(zip(rules.rules, written, strict=True))[:number])
        if cover is not None:
            what = (
                f"shadowed by {_subject(cover)} (line {cover.line}), whose condition holds "
                "wherever this one does"
            )
            yield Finding(
                WARNING, subject, what, "move it before that rule, or narrow that one", line
            )
        elif matched.shapes and rule.is_valid_in(data.month) and not matched.of(rule):
            yield _matches_nothing(rule, subject, line, matched, data)


def _matches_nothing(
    rule: Rule, subject: str, line: int, matched: MatchedRules, data: RuleTestData
) -> Finding:
    month = f"{data.month:%B %Y}"
    takers = {
        taker.name: None
        for shape, taker in zip(matched.shapes, matched.by, strict=True)
        if taker is not None and rule.matches(shape.facts)
    }
    if takers:
        names = ", ".join(map(quoted, takers))
        what = f"shadowed in {month}: earlier rules take everything that it would: {names}"
        return Finding(WARNING, subject, what, "move it before them, or narrow them", line)
    return Finding(
        WARNING,
        subject,
        f"matches no charge of {month}",
        "check its condition against the bill",
        line,
    )


def _covering(
    rule: Rule, entry: RuleEntry, earlier: Sequence[tuple[Rule, RuleEntry]]
) -> RuleEntry | None:
    """An earlier rule that holds wherever this one does, by their conditions alone, in all of its
    months.
    """
    for other, written in earlier:
        starts = other.valid_from is None or (
            rule.valid_from is not None and other.valid_from <= rule.valid_from
        )
        ends = other.valid_to is None or (
            rule.valid_to is not None and rule.valid_to <= other.valid_to
        )
        if starts and ends and _implied(entry.spec.get("when"), written.spec.get("when")):
            return written
    return None


def _implied(narrow: Any, wide: Any) -> bool:
    """Every test of the wide condition stands in the narrow one, too."""
    if not wide:
        return True
    return isinstance(narrow, dict) and all(
        name in narrow and narrow[name] == test for name, test in wide.items()
    )


# ---------------------------------------------------------------- what conditions look at


def columns_asked(text: RuleText) -> frozenset[str]:
    """Names of columns, tags and catalogue readings that any condition of the document tests, rows'
    own left out.
    """
    return frozenset(name for entry in text.entries for name in _names(entry.spec.get("when")))


def _names(when: Any) -> Iterator[str]:
    for name, value in (when or {}).items():
        if name in ("all", "any"):
            for item in value:
                yield from _names(item)
        elif name == "not":
            yield from _names(value)
        elif not is_row_column(name):
            yield name
