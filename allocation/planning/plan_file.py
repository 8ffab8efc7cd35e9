"""Plans as one CSV file: month x cost centre or team x account. Pure: rows, what is wrong with
them, and what they would change. docs/plan.md shows the columns.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from allocation.organisation.tree import safe_cell_text
from allocation.organisation.tree_file import clean_cell, one_newline
from allocation.planning.holders import KIND_WORDS, PlanHolder
from allocation.values.money import plain
from allocation.values.names import quoted
from allocation.values.periods import BadPeriod, Period

COLUMNS = ("month", "cost_center", "team", "account", "amount", "currency")
NEEDED = ("month", "amount", "currency")
MOST_ROWS = 20_000
MOST_LETTERS = 60  # of an account
AMOUNT = re.compile(r"\d{1,14}(\.\d{1,12})?")
CURRENCY = re.compile(r"[A-Z]{3}")


class SpendPlanKey(NamedTuple):
    month: date
    holder: PlanHolder
    account: str


class PlannedAmount(NamedTuple):
    amount: Decimal
    currency: str

    @property
    def words(self) -> str:
        return f"{plain(self.amount)} {self.currency}"


Plans = Mapping[SpendPlanKey, PlannedAmount]


@dataclass(frozen=True)
class PlanProblem:
    """What can't be used, on which line of the file (1 is the header)."""

    line: int
    text: str


@dataclass(frozen=True)
class PlanChange:
    """One amount that becomes another one; None is no plan."""

    line: int
    key: SpendPlanKey
    before: PlannedAmount | None
    after: PlannedAmount | None

    @property
    def action(self) -> str:
        if self.before is None:
            return "new"
        return "taken away" if self.after is None else "changed"


@dataclass(frozen=True)
class PlanDifference:
    """What a file would change of the plans as they stand."""

    changes: tuple[PlanChange, ...]
    problems: tuple[PlanProblem, ...]
    unchanged: int
    token: str  # of this file against these plans

    def count(self, action: str) -> int:
        return sum(change.action == action for change in self.changes)


class _Stated(NamedTuple):
    line: int
    planned: PlannedAmount | None


def difference(text: str, plans: Plans, known: Iterable[PlanHolder]) -> PlanDifference:
    """What the file would change. What it does not name stays as it is."""
    stated, problems = _read(one_newline(text), frozenset(known))
    changes = tuple(
        PlanChange(line, key, plans.get(key), planned)
        for key, (line, planned) in stated.items()
        if plans.get(key) != planned
    )
    problems += _mixed_currencies(changes, plans)
    return PlanDifference(
        changes=changes,
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
        unchanged=len(stated) - len(changes),
        token=f"{_digest(one_newline(text))}-{_digest(csv_of(plans))}",
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:24]


def csv_of(plans: Plans) -> str:
    """The plans as the file that can be changed and loaded again."""
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (month, holder, account), planned in sorted(plans.items()):
        centre, team = ("", holder.own) if holder.kind == "team" else (holder.own, "")
        names = [safe_cell_text(text) for text in (centre, team, account)]
        writer.writerow([f"{month:%Y-%m}", *names, plain(planned.amount), planned.currency])
    return told.getvalue()


def one_line(*, month: str, holder: str, account: str, amount: str, currency: str) -> str:
    """A file of what somebody typed. `holder` is "team:slug" or "cost_center:code"."""
    kind, _, own = holder.partition(":")
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(["month", kind, "account", "amount", "currency"])
    writer.writerow([month, own, account, amount, currency])
    return told.getvalue()


# ---------------------------------------------------------------- reading


def _read(
    text: str, known: frozenset[PlanHolder]
) -> tuple[dict[SpendPlanKey, _Stated], list[PlanProblem]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    stated: dict[SpendPlanKey, _Stated] = {}
    problems: list[PlanProblem] = []
    line = 1
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if wrong := _wrong_header(header):
            return {}, [PlanProblem(1, wrong)]
        line = reader.line_num + 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                try:
                    key, planned = _row(header, cells, known)
                    if key in stated:
                        raise ValueError(f"line {stated[key].line} plans the same already")
                    stated[key] = _Stated(line, planned)
                except ValueError as error:
                    problems.append(PlanProblem(line, str(error)))
            line = reader.line_num + 1
            if len(stated) + len(problems) > MOST_ROWS:
                return {}, [PlanProblem(line, f"a file has at most {MOST_ROWS:,} rows")]
    except csv.Error as error:
        problems.append(PlanProblem(line, f"this is no CSV: {error}"))
    return stated, problems


def _wrong_header(header: list[str]) -> str | None:
    if missing := [name for name in NEEDED if name not in header]:
        return f"the header has no column {' and no '.join(missing)}"
    if not {"cost_center", "team"} & set(header):
        return "the header has no column cost_center and no team: whose plan is it?"
    if unknown := [name for name in header if name not in COLUMNS]:
        told = ", ".join(quoted(name[:40]) for name in unknown)
        return f"there is no column {told}; there are {', '.join(COLUMNS)}"
    if len(set(header)) < len(header):
        return "the header names a column twice"
    return None


def _row(
    header: list[str], cells: list[str], known: frozenset[PlanHolder]
) -> tuple[SpendPlanKey, PlannedAmount | None]:
    if len(cells) > len(header):
        raise ValueError(
            f"it has {len(cells)} cells, the header has {len(header)}; amounts are written without"
            " separators"
        )
    values = {name: clean_cell(cell) for name, cell in zip(header, cells, strict=False)}
    key = SpendPlanKey(
        _month(values["month"]), _holder(values, known), _account(values.get("account", ""))
    )
    return key, _planned(values.get("amount", ""), values.get("currency", ""))


def _month(text: str) -> date:
    try:
        return Period.parse(text).start
    except BadPeriod:
        raise ValueError(f"month is written as 2026-11, not {_shown(text)}") from None


def _holder(values: Mapping[str, str], known: frozenset[PlanHolder]) -> PlanHolder:
    found = [PlanHolder(kind, values[kind]) for kind in ("cost_center", "team") if values.get(kind)]
    if len(found) != 1:
        told = "both a cost centre and a team" if found else "neither a cost centre nor a team"
        raise ValueError(f"it names {told}; a plan is of one of them")
    holder = found[0]
    if holder not in known:
        words = KIND_WORDS[holder.kind]
        raise ValueError(f"there is no {words} {_shown(holder.own)}; see the page Ownership")
    return holder


def _account(text: str) -> str:
    if len(text) > MOST_LETTERS or not text.isprintable():
        raise ValueError(
            f"an account has up to {MOST_LETTERS} letters that can be printed, not {_shown(text)}"
        )
    return text


def _planned(amount: str, currency: str) -> PlannedAmount | None:
    """None where no amount is given: the plan is taken away."""
    if not amount:
        return None
    if amount.startswith("-"):
        raise ValueError(f"a plan is not negative: {_shown(amount)}")
    if not amount.isascii() or not AMOUNT.fullmatch(amount):
        raise ValueError(
            f"an amount is digits and at most one point, such as 12500.00, not {_shown(amount)}"
        )
    if not CURRENCY.fullmatch(currency):
        raise ValueError(f"currency is an ISO 4217 code such as USD, not {_shown(currency)}")
    return PlannedAmount(Decimal(amount), currency)


def _shown(text: str) -> str:
    return quoted(text[:60]) if text else "empty"


def _mixed_currencies(changes: Iterable[PlanChange], plans: Plans) -> list[PlanProblem]:
    """Two currencies never meet in one sum, so all accounts of a plan have one."""
    changed = {change.key: change.after for change in changes}
    after = {key: planned for key, planned in (dict(plans) | changed).items() if planned}
    currencies: dict[tuple[date, PlanHolder], set[str]] = {}
    for key, planned in after.items():
        currencies.setdefault((key.month, key.holder), set()).add(planned.currency)
    return [
        PlanProblem(
            change.line,
            f"the plan of {change.key.holder.words} for {change.key.month:%Y-%m} would be in"
            f" {' and '.join(sorted(currencies[change.key.month, change.key.holder]))};"
            " all accounts of one plan have one currency",
        )
        for change in changes
        if change.after and len(currencies[change.key.month, change.key.holder]) > 1
    ]
