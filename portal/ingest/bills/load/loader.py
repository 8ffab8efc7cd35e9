"""Loading: clean batches become rows of `charge` under staged scopes, inside the caller's
transaction.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from queue import Full, Queue
from threading import Event, Thread
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from portal.ingest.bills.formats import COSTS, NUMBERS, Header, RowBatch
from portal.ingest.bills.load.dimensions import DimensionIds, copy_csv
from portal.ingest.bills.load.rejected import MoneyPlace, RejectedRows, RejectedSum
from portal.ingest.bills.load.validation import EXACT, CleanBatch, Validator
from portal.ingest.problems import Problem, ProblemCounts

MOST_PROBLEMS_KEPT = 50_000
COST_FIELDS = ("billed_cost", "effective_cost", "list_cost", "contracted_cost")
NUMBER_FIELDS = dict(
    zip(
        NUMBERS,
        (
            *COST_FIELDS,
            "list_unit_price",
            "contracted_unit_price",
            "consumed_quantity",
            "pricing_quantity",
            "commitment_discount_quantity",
            "pricing_currency_effective_cost",
            "pricing_currency_list_unit_price",
            "pricing_currency_contracted_unit_price",
        ),
        strict=True,
    )
)

Rowwise = npt.NDArray[np.int64]
SCOPE_COLUMNS = ("BillingAccountId", "BillingPeriodStart", "BillingPeriodEnd")
Costs = tuple[Decimal | None, ...]  # one per COST_FIELDS; None where no row has the cost


@dataclass(slots=True)
class LoadedScope:
    """What one file holds of one billing account and billing period."""

    id: int
    billing_account_id: str
    billing_period_start: datetime
    billing_period_end: datetime
    billing_month: date
    rows: int = 0
    totals: dict[str, Costs] = field(default_factory=dict)  # by currency


@dataclass(slots=True)
class Loaded:
    """What a delivery was found to hold. `problems` stops at MOST_PROBLEMS_KEPT, `rows_rejected`
    does not.
    """

    scopes: list[LoadedScope] = field(default_factory=list)
    rows_read: int = 0
    rows_rejected: int = 0
    problems: list[Problem] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    read_of_file: Counter[int] = field(default_factory=Counter)
    rejected_of_file: Counter[int] = field(default_factory=Counter)
    rejected: RejectedRows = field(default_factory=RejectedRows)
    reasons: ProblemCounts = field(default_factory=ProblemCounts)  # of rejected rows
    unread: ProblemCounts = field(default_factory=ProblemCounts)  # values loaded as null
    # Of charges that began before their billing period: rows and billed cost by month and currency.
    earlier: dict[tuple[str, str], tuple[int, Decimal]] = field(default_factory=dict)

    @property
    def rows_loaded(self) -> int:
        return self.rows_read - self.rows_rejected

    @property
    def totals(self) -> dict[str, Costs]:
        """Exact sums of the loaded rows, by currency."""
        sums: dict[str, Costs] = {}
        for scope in self.scopes:
            for currency, costs in scope.totals.items():
                sums[currency] = added(sums.get(currency), costs)
        return dict(sorted(sums.items()))


class TotalsDiffer(Exception):
    """What the database sums up is not what the file holds. The transaction must not be
    committed.
    """


def added(first: Costs | None, second: Costs) -> Costs:
    """Cost by cost; exact under `exactly()`, which the caller has entered."""
    if first is None:
        return second
    return tuple(
        b if a is None else a if b is None else a + b for a, b in zip(first, second, strict=True)
    )


class Loader:
    """Loads the batches of one delivery. Rows go over the caller's connection and transaction;
    partitions, scope numbers and dimensions over a second one, so that they are there for the first
    and survive a rollback unharmed.
    """

    def __init__(
        self,
        header: Header,
        *,
        file_names: Sequence[str],
        billing_timezone: str,
        side: BaseDatabaseWrapper,
    ) -> None:
        self._header = header
        self._file_names = file_names
        self._has_files = len(file_names) > 1
        self._zone = ZoneInfo(billing_timezone)
        self._side = side
        self._validator = Validator(header)
        self._dimensions = DimensionIds(side, self._validator.interners)
        self._scopes: dict[tuple[str, str], LoadedScope] = {}
        self._months: set[date] = set()
        self._numbers = [name for name in NUMBERS if name in header.names]
        self.loaded = Loaded()

    def load(self, batches: Iterable[RowBatch]) -> Iterator[Loaded]:
        """Loads batch after batch; yields the counts so far after each."""
        with row_writer(self._copy_statement()) as write:
            for batch in read_ahead(batches):
                clean = self._validator.clean(batch)
                self._count(clean)
                if len(clean):
                    write(self._payload(clean))
                yield self.loaded

    def _count(self, clean: CleanBatch) -> None:
        found = self.loaded
        found.rows_read += clean.rows_read
        found.rows_rejected += clean.rows_rejected
        found.repairs += clean.repairs
        found.read_of_file[clean.file] += clean.rows_read
        found.rejected_of_file[clean.file] += clean.rows_rejected
        found.rejected.add(clean.rejected)
        for problem in clean.problems:
            found.reasons.add(self._named(problem, clean.file))
        for unread in clean.unread.counts.values():
            found.unread.add(self._named(unread.first, clean.file), unread.count)
        kept = clean.problems[: max(0, MOST_PROBLEMS_KEPT - len(found.problems))]
        found.problems += [self._named(problem, clean.file) for problem in kept]

    def _named(self, problem: Problem, file: int) -> Problem:
        """The problem with the name of its file, where there are several."""
        return replace(problem, file=self._file_names[file]) if self._has_files else problem

    def rejected_money(self) -> dict[MoneyPlace, RejectedSum]:
        """Of the rows that were not loaded, by what each says of its place; where it can't be read,
        that of the largest scope.
        """
        largest = max(self.loaded.scopes, key=lambda scope: scope.rows, default=None)
        usual = MoneyPlace(
            largest.billing_account_id if largest else None,
            f"{largest.billing_month:%Y-%m}" if largest else None,
            next(iter(largest.totals)) if largest else None,
        )
        places = [
            MoneyPlace(
                cells.account or usual.account,
                f"{self._month(cells.period_start):%Y-%m}" if cells.period_start else usual.month,
                cells.currency or usual.currency,
            )
            for cells in self.loaded.rejected
        ]
        return self.loaded.rejected.placed(places)

    def _month(self, period_start: str) -> date:
        """The billing month, its first day in the source's time zone."""
        begins = datetime.fromisoformat(period_start)
        return begins.astimezone(self._zone).date().replace(day=1)

    def _copy_statement(self) -> str:
        numbers = [NUMBER_FIELDS[name] for name in self._numbers]
        names = [
            "billing_month",
            "scope_id",
            "line",
            "dimension_id",
            "charge_period_start",
            "charge_period_end",
        ]
        extra = ["extra"] if self._header.unknown else []
        file = ["file_number"] if self._has_files else []
        columns = ", ".join([*names, *numbers, *extra, *file])
        return f"COPY charge ({columns}) FROM STDIN WITH (FORMAT csv)"

    def _payload(self, clean: CleanBatch) -> memoryview:
        """The batch as CSV for COPY."""
        first, group_of_row = groups(
            [clean.codes[name] for name in (*SCOPE_COLUMNS, "BillingCurrency")]
        )
        scopes = [self._scope(clean, int(row)) for row in first]
        self._add_totals(clean, first, group_of_row, scopes)
        self._add_earlier(clean)
        group = pa.array(group_of_row)
        interners = self._validator.interners
        table: dict[str, pa.Array] = {
            "billing_month": pa.array([scope.billing_month for scope in scopes], pa.date32()).take(
                group
            ),
            "scope_id": pa.array([scope.id for scope in scopes], pa.int64()).take(group),
            "line": pa.array(clean.lines),
            "dimension_id": pa.array(self._dimensions.of_rows(clean)),
        }
        for name in ("ChargePeriodStart", "ChargePeriodEnd"):
            table[name] = interners[name].read(clean.codes[name])
        table |= {name: clean.numbers[name] for name in self._numbers}
        if self._header.unknown:
            table["extra"] = (
                pa.nulls(len(clean), pa.string()) if clean.extra is None else clean.extra
            )
        if self._has_files:
            table["file_number"] = pa.array(np.full(len(clean), clean.file, dtype=np.int16))
        sink = io.BytesIO()
        # Only `extra` can hold a comma or a quote; every other column is digits.
        style = "needed" if self._header.unknown else "none"
        pa.csv.write_csv(
            pa.table(table), sink, pa.csv.WriteOptions(include_header=False, quoting_style=style)
        )
        return sink.getbuffer()

    def _scope(self, clean: CleanBatch, row: int) -> LoadedScope:
        """The scope of this row, made on first sight together with the partition of its month."""
        account, start, end = (
            self._validator.interners[name].cells[clean.codes[name][row]].value or ""
            for name in SCOPE_COLUMNS
        )
        scope = self._scopes.get((account, start))
        if scope is not None:
            scope.billing_period_end = max(scope.billing_period_end, datetime.fromisoformat(end))
            return scope
        month = self._month(start)
        with self._side.cursor() as cursor:
            if month not in self._months:
                cursor.execute("SELECT ensure_charge_partition(%s)", [month])
                self._months.add(month)
            cursor.execute("SELECT nextval(pg_get_serial_sequence('allocation_chargescope', 'id'))")
            (number,) = cursor.fetchone()
        scope = LoadedScope(
            number, account, datetime.fromisoformat(start), datetime.fromisoformat(end), month
        )
        self._scopes[account, start] = scope
        self.loaded.scopes.append(scope)
        return scope

    def _add_totals(
        self, clean: CleanBatch, first: Rowwise, group_of_row: Rowwise, scopes: list[LoadedScope]
    ) -> None:
        currencies = self._validator.interners["BillingCurrency"].cells
        counts = np.bincount(group_of_row, minlength=len(scopes))
        for group, costs in enumerate(group_sums(clean.numbers, group_of_row, len(scopes))):
            currency = currencies[clean.codes["BillingCurrency"][first[group]]].value or ""
            scope = scopes[group]
            scope.rows += int(counts[group])
            scope.totals[currency] = added(scope.totals.get(currency), costs)

    def _add_earlier(self, clean: CleanBatch) -> None:
        """Sums up charges of the batch that began before their billing period."""
        interners = self._validator.interners
        starts = interners["ChargePeriodStart"].micros[clean.codes["ChargePeriodStart"]]
        periods = interners["BillingPeriodStart"].micros[clean.codes["BillingPeriodStart"]]
        rows = np.flatnonzero(starts < periods)
        if not len(rows):
            return
        months = starts[rows].astype("datetime64[us]").astype("datetime64[M]").astype(str)
        currencies = interners["BillingCurrency"].read(clean.codes["BillingCurrency"][rows])
        table = pa.table(
            {
                "month": months,
                "currency": currencies,
                "billed": clean.numbers["BilledCost"].take(pa.array(rows)).cast(EXACT),
            }
        )
        summed = table.group_by(["month", "currency"], use_threads=False).aggregate(
            [("billed", "sum"), ("billed", "count")]
        )
        for each in summed.to_pylist():
            key = (each["month"], each["currency"])
            count, billed = self.loaded.earlier.get(key, (0, Decimal(0)))
            self.loaded.earlier[key] = (count + each["billed_count"], billed + each["billed_sum"])


def groups(columns: list[npt.NDArray[np.int32]]) -> tuple[Rowwise, Rowwise]:
    """Distinct combinations of the columns: a row of each, and the number of each row's
    combination.
    """
    key = np.zeros(len(columns[0]), dtype=np.int64)
    width = 1
    for codes in columns:
        low, high = int(codes.min()), int(codes.max())
        if width * (high - low + 1) >= 2**62:
            key = np.unique(key, return_inverse=True)[1].reshape(-1)
            width = len(key)
        width *= high - low + 1
        key = key * (high - low + 1) + (codes - low)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def group_sums(numbers: dict[str, pa.Array], group_of_row: Rowwise, count: int) -> list[Costs]:
    """Exact sums of the cost columns of each group; 53 digits and a batch of rows stay below the
    type's 76.
    """
    exact = {
        name: numbers[name].cast(EXACT) if name in numbers else pa.nulls(len(group_of_row), EXACT)
        for name in COSTS
    }
    if count == 1:
        return [tuple(pc.sum(each, min_count=1).as_py() for each in exact.values())]
    table = pa.table({"group": group_of_row, **exact}).group_by("group", use_threads=False)
    options = pc.ScalarAggregateOptions(min_count=1)
    summed = table.aggregate([(name, "sum", options) for name in COSTS]).sort_by("group")
    return list(zip(*(summed.column(f"{name}_sum").to_pylist() for name in COSTS), strict=True))


def read_ahead(batches: Iterable[RowBatch]) -> Iterator[RowBatch]:
    """The same batches, each read in a thread while the one before it is worked on. Errors come out
    in their place.
    """
    queue: Queue[RowBatch | BaseException | None] = Queue(maxsize=1)
    stopped = Event()

    def put(item: RowBatch | BaseException | None) -> None:
        while not stopped.is_set():
            with suppress(Full):
                queue.put(item, timeout=0.1)
                return

    def read() -> None:
        try:
            for batch in batches:
                put(batch)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = Thread(target=read, name="bill-reader", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


@contextmanager
def row_writer(statement: str) -> Iterator[Any]:
    """A function that sends CSV to the caller's connection from a thread, while the next batch is
    prepared.

    Each call is one COPY, so that a partition made in between is seen. An error of the database
    comes out of the next call or the end of the block.
    """
    cursor = connection.connection.cursor()
    queue: Queue[memoryview | None] = Queue(maxsize=2)
    errors: list[BaseException] = []

    def send() -> None:
        while (data := queue.get()) is not None:
            if errors:
                continue
            try:
                copy_csv(cursor, statement, data)
            except BaseException as error:
                errors.append(error)

    def write(data: memoryview) -> None:
        if errors:
            raise errors[0]
        queue.put(data)

    thread = Thread(target=send, name="charge-writer", daemon=True)
    thread.start()
    try:
        yield write
    finally:
        queue.put(None)
        thread.join()
        cursor.close()
    if errors:
        raise errors[0]


SUMS = """
SELECT c.scope_id, d.billing_currency, count(*), sum(c.billed_cost), sum(c.effective_cost),
    sum(c.list_cost),
    sum(c.contracted_cost)
FROM charge c JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = ANY(%s) AND c.scope_id = ANY(%s)
GROUP BY c.scope_id, d.billing_currency
"""


ABSOLUTE = """
SELECT d.billing_currency, sum(abs(c.billed_cost))
FROM charge c JOIN allocation_chargedimension d ON d.id = c.dimension_id
WHERE c.billing_month = ANY(%s) AND c.scope_id = ANY(%s)
GROUP BY d.billing_currency
"""


def absolute_billed(loaded: Loaded) -> dict[str, Decimal]:
    """How much the loaded rows move, whichever way, by currency."""
    months = sorted({scope.billing_month for scope in loaded.scopes})
    with connection.cursor() as cursor:
        cursor.execute(ABSOLUTE, [months, [scope.id for scope in loaded.scopes]])
        return dict(cursor.fetchall())


def check_totals(loaded: Loaded) -> None:
    """Compares rows and sums of each scope and currency with the database's. Raises
    TotalsDiffer.
    """
    with connection.cursor() as cursor:
        # Nothing is known yet about rows that are not committed; a plan made for two rows takes
        # three times as long.
        cursor.execute(
            "SET LOCAL enable_nestloop = off; SET LOCAL enable_sort = off; SET LOCAL jit = off"
        )
        months = sorted({scope.billing_month for scope in loaded.scopes})
        cursor.execute(SUMS, [months, [scope.id for scope in loaded.scopes]])
        stored = {(row[0], row[1]): row[2:] for row in cursor.fetchall()}
    rows = Counter({scope.id: 0 for scope in loaded.scopes})
    for (scope_id, _), (count, *_) in stored.items():
        rows[scope_id] += count
    for scope in loaded.scopes:
        sums = {
            currency: stored.get((scope.id, currency), (0,) * 5)[1:] for currency in scope.totals
        }
        if rows[scope.id] != scope.rows or sums != scope.totals:
            raise TotalsDiffer(
                f"billing account {scope.billing_account_id}, period from "
                f"{scope.billing_period_start:%Y-%m-%d}: the file holds {scope.rows} rows and "
                f"{scope.totals}, the database {rows[scope.id]} and {sums}"
            )
