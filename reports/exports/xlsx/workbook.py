"""The chargeback workbook of a billing month, written to a temporary file in constant memory.

Text cells are stored as text, so that none can become a formula and none needs an apostrophe.
Amounts are numbers, so that a spreadsheet can add them up. A number cell holds 15 digits; where an
amount has more, the column of the same name with `_exact` at the end holds all of them as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from django.db import connection

from allocation.storage.rows import whole_month_plans
from allocation.values.money import EXACT, plain
from allocation.values.periods import Period
from reports.asking import TeamScope
from reports.cost_question.question import CostQuestion
from reports.exports.detail import (
    AMOUNTS,
    COLUMNS,
    NUMBERS,
    detail_question,
    detail_values,
    lines_statement,
    rejected_statement,
    totals_statement,
)

BLOCK_BYTES = 65_536
SHEET_LINES = 1_048_575  # what Excel has, less the row of heads
NUMBER_DIGITS = 15
COLUMN_WIDTH = 18
TOTAL_COLUMNS = ("period", "billing_currency", *AMOUNTS)
CENTER_KEYS = ("cost_center", "cost_center_name", "mode", "legal_entity", "billing_currency")
CENTER_COLUMNS = (*CENTER_KEYS, "billed_cost", "effective_cost")
NO_CENTER, NO_OWNER, OUTSIDE_AI = "no cost centre", "no owner", "outside AI"

Cells = Mapping[str, Any]  # by column
Centers = dict[tuple[str | None, ...], dict[str, Decimal]]


def chargeback_xlsx(*, period: Period, scope: TeamScope) -> Iterator[bytes]:
    """Blocks of the month's workbook for a reader; raises NotAllocated before the first one."""
    return _blocks(detail_question(period, scope), period)


def _blocks(question: CostQuestion, period: Period) -> Iterator[bytes]:
    with TemporaryDirectory(prefix="apportion-") as folder:
        path = Path(folder) / "chargeback.xlsx"
        _write(path, question, period)
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block


def _write(path: Path, question: CostQuestion, period: Period) -> None:
    from xlsxwriter import Workbook  # costs every start, and few ask for a workbook

    values = detail_values(question, period)
    book = Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent)})
    finished = max((run.finished_at for run in question.runs if run.finished_at), default=None)
    # The same ledger gives the same bytes: nothing in the file tells when it was written.
    created = (finished or datetime(period.start.year, period.start.month, 1, tzinfo=UTC)).replace(
        tzinfo=None, microsecond=0
    )
    book.set_properties({"title": f"Chargeback {period}", "created": created})
    sheets, centers = SheetWriter(book), cast(Centers, {})
    lines = _summed(_rows(lines_statement(question, str), values), centers)
    sheets.write("Lines", COLUMNS, lines)
    sheets.write("Cost centres", CENTER_COLUMNS, _center_rows(centers))
    totals = (
        row
        for each in (rejected_statement(), totals_statement(question))
        for row in _rows(each, values)
    )
    sheets.write("Totals", TOTAL_COLUMNS, totals)
    book.close()


def _rows(select: str, values: Mapping[str, Any]) -> Iterator[Cells]:
    types = [
        "numeric" if name in AMOUNTS else "int8" if name in NUMBERS else "text" for name in COLUMNS
    ]
    with (
        whole_month_plans(),
        connection.cursor() as cursor,
        cursor.copy(f"COPY ({select}) TO STDOUT", values) as copy,
    ):
        copy.set_types(types)
        for row in copy.rows():
            yield dict(zip(COLUMNS, row, strict=True))


# ---------------------------------------------------------------- cost centres


def _summed(rows: Iterable[Cells], centers: Centers) -> Iterator[Cells]:
    """The same rows; on the way their costs are added up by cost centre."""
    for row in rows:
        for key, costs in _center_parts(row):
            known = centers.setdefault(key, dict.fromkeys(costs, Decimal(0)))
            for name, cost in costs.items():
                known[name] = EXACT.add(known[name], cost)
        yield row


def _center_parts(row: Cells) -> Iterator[tuple[tuple[str | None, ...], dict[str, Decimal]]]:
    """Whom a line is charged to, and how much; what nobody owns is cut where AI ends."""
    costs = {name: row[name] for name in ("billed_cost", "effective_cost")}
    if row["team"] is not None:
        keys = (row["cost_center"] or NO_CENTER, *(row[name] for name in CENTER_KEYS[1:]))
        yield keys, costs
        return
    outside = {name: row[f"outside_ai_{name}"] for name in costs}
    inside = {name: EXACT.subtract(cost, outside[name]) for name, cost in costs.items()}
    for label, part in ((NO_OWNER, inside), (OUTSIDE_AI, outside)):
        if any(part.values()):
            yield (label, None, None, None, row["billing_currency"]), part


def _center_rows(centers: Centers) -> Iterator[Cells]:
    """Largest first within a currency."""

    def order(item: tuple[tuple[str | None, ...], dict[str, Decimal]]) -> tuple[Any, ...]:
        key, costs = item
        return key[-1], -costs["effective_cost"], key[0]

    for key, costs in sorted(centers.items(), key=order):
        yield {**dict(zip(CENTER_KEYS, key, strict=True)), **costs}


# ---------------------------------------------------------------- sheets


class SheetWriter:
    """Writes rows to sheets of one book; each sheet has the heads and a filter."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._head = book.add_format({"bold": True})
        self._amount = book.add_format({"num_format": "#,##0.00####"})
        self._text = book.add_format()

    def write(self, name: str, columns: Sequence[str], rows: Iterable[Cells]) -> None:
        """One sheet, and as many more as it takes."""
        left, part = iter(rows), 1
        row: Cells | None = next(left, None)
        while row is not None or part == 1:
            sheet = self._sheet(name if part == 1 else f"{name} {part}", columns)
            at = 0
            while row is not None and at < SHEET_LINES:
                at += 1
                self._write_row(sheet, at, row, columns)
                row = next(left, None)
            sheet.autofilter(0, 0, at, len(_heads(columns)) - 1)
            part += 1

    def _sheet(self, name: str, columns: Sequence[str]) -> Any:
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        heads = _heads(columns)
        sheet.set_column(0, len(heads) - 1, COLUMN_WIDTH)
        for place, head in enumerate(heads):
            sheet.write_string(0, place, head, self._head)
        return sheet

    def _write_row(self, sheet: Any, at: int, row: Cells, columns: Sequence[str]) -> None:
        for place, column in enumerate(columns):
            value = row[column]
            if isinstance(value, str):
                self._write_text(sheet, at, place, value)
            elif value is not None:
                sheet.write_number(at, place, value, self._amount if column in AMOUNTS else None)
        for place, column in enumerate(_amounts(columns), start=len(columns)):
            if not _fits_number(row[column]):
                sheet.write_string(at, place, plain(row[column]))

    def _write_text(self, sheet: Any, at: int, place: int, text: str) -> None:
        """XlsxWriter takes a text between these marks for ready XML; in two parts it is text."""
        if text.startswith("<r>") and text.endswith("</r>"):
            sheet.write_rich_string(at, place, text[:1], self._text, text[1:])
        else:
            sheet.write_string(at, place, text)


def _amounts(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in AMOUNTS]


def _heads(columns: Sequence[str]) -> list[str]:
    return [*columns, *(f"{column}_exact" for column in _amounts(columns))]


def _fits_number(value: Decimal | None) -> bool:
    digits = "".join(map(str, value.as_tuple().digits)) if value is not None else ""
    return len(digits.rstrip("0")) <= NUMBER_DIGITS
