"""Every comparison of executive, showback and team pages, computed again from the ledger's shares
and the delivered charges: the same days of each source, the same kinds, closed months whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from pytest_django import Settings

from allocation.models import ExchangeRate, Team
from allocation.values.money import EXACT, exact_sum
from portal.accounts.models import User
from portal.demo.company import COST_CENTERS, TEAMS
from portal.demo.load import load_demo
from portal.demo.people import ensure_people
from portal.pages.frame.tables import Cell, Table
from reports.queries.ownership.organisation import names_of
from reports.readable import MODEL_GROUPS

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MONTHS = [date(2026, month, 1) for month in (8, 9, 10, 11)]
CENT = Decimal("0.01")
DAY = timedelta(days=1)

# One row per share of the current runs, by what pages tell apart.
SHARES = """
SELECT run.billing_month, run.currency, split.source_id, share.day, target.team, target.feature,
    target.model, split.provider_name,
    split.charge_category IN ('Tax', 'Credit', 'Adjustment', 'Purchase')
        OR coalesce(split.service_name, '') LIKE '%%Support%%',
    sum(share.effective_cost), sum(share.billed_cost)
FROM allocated_cost AS share
JOIN allocation_allocationrun AS run ON run.id = share.run_id AND run.is_current
JOIN charge_split_key AS split
    ON split.run_id = share.run_id AND split.split_key_id = share.split_key_id
JOIN allocation_target AS target ON target.id = share.target_id
WHERE split.ai_scope <> 'other' AND target.reason IS DISTINCT FROM 'outside AI scope'
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
"""
# The last day that each source has delivered a charge of one day for.
DELIVERED = """
SELECT scope.source_id, max(charge.charge_period_start AT TIME ZONE 'UTC')::date
FROM charge
JOIN allocation_chargescope AS scope ON scope.id = charge.scope_id
WHERE charge.charge_period_end - charge.charge_period_start <= interval '1 day'
GROUP BY 1
"""


@dataclass(frozen=True)
class Share:
    month: date
    currency: str
    source: int
    day: date
    team: str | None
    feature: str | None
    model: str | None
    provider: str | None
    comes_with_invoice: bool
    effective_cost: Decimal
    billed_cost: Decimal


@dataclass(frozen=True)
class Ledger:
    shares: list[Share]
    delivered: dict[int, date]
    rates: dict[date, Decimal]

    def in_dollars(self, share: Share, metric: str) -> Decimal:
        rate = self.rates[share.month] if share.currency == "EUR" else Decimal(1)
        return EXACT.multiply(getattr(share, metric), rate)

    def through(self, month: date) -> date:
        return min(max(self.delivered.values()), next_month(month) - DAY)

    def is_now(self, share: Share, month: date) -> bool:
        return month <= share.day <= self.through(month)

    def is_compared(self, share: Share, month: date) -> bool:
        if not self.is_now(share, month):
            return False
        return month != MONTHS[-1] or self.is_alike(share, share.day)

    def is_before(self, share: Share, month: date) -> bool:
        before = (month - DAY).replace(day=1)
        if not before <= share.day < month:
            return False
        return month != MONTHS[-1] or self.is_alike(share, share.day - before + month)

    def is_alike(self, share: Share, day: date) -> bool:
        return not share.comes_with_invoice and day <= self.delivered[share.source]

    def changes(
        self, shares: Iterable[Share], month: date, metric: str, key: Callable[[Share], str]
    ) -> dict[str, Moved]:
        found: dict[str, list[list[Decimal]]] = defaultdict(lambda: [[], [], []])
        for share in shares:
            cost = self.in_dollars(share, metric)
            for place, counts in enumerate((self.is_now, self.is_compared, self.is_before)):
                if counts(share, month):
                    found[key(share)][place].append(cost)
        return {name: Moved(*map(exact_sum, sums)) for name, sums in found.items()}


@dataclass(frozen=True)
class Moved:
    now: Decimal
    compared: Decimal
    before: Decimal


def next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


@pytest.fixture
def ledger(tmp_path: Path, settings: Settings) -> Iterator[Ledger]:
    settings.SPAN_WINDOW_PAST_DAYS = 100_000
    with time_machine.travel(NOW, tick=True):
        load_demo(folder=tmp_path, now=NOW, scale=0.03, say=lambda _: None)
        ensure_people()
        with connection.cursor() as cursor:
            cursor.execute(SHARES)
            shares = [Share(*row) for row in cursor.fetchall()]
            cursor.execute(DELIVERED)
            delivered = dict(cursor.fetchall())
        rates = ExchangeRate.objects.filter(base="EUR", quote="USD")
        yield Ledger(shares, delivered, {rate.month: rate.rate for rate in rates})


def opened(username: str, address: str, month: date, **more: str) -> Any:
    client = Client()
    client.force_login(User.objects.get(username=username))
    tables = ("teams", "features", "models", "providers")
    asked = {"period": f"{month:%Y-%m}", "currency": "USD", **more}
    response = client.get(address, asked | {f"all.{name}": "1" for name in tables})
    assert response.status_code == 200
    return response.context


def assert_equal_to_the_cent(shown: Decimal | None, own: Decimal) -> None:
    assert shown is not None
    assert shown.quantize(CENT) == own.quantize(CENT)
    assert (shown > 0, shown < 0) == (own > 0, own < 0)


def assert_rows(table: Table, own: dict[str, Moved], *, known: bool) -> None:
    """Each row's cost is the whole of the month, and its change is like for like."""
    shown = {str(row["name"].value): row for row in table.rows}
    of_no_model = [shown.pop(name) for name in MODEL_GROUPS.values() if name in shown]
    if of_no_model:
        shown["no model"] = {
            "cost": Cell(value=sum_of(of_no_model, "cost")),
            "change": Cell(
                value=sum_of(of_no_model, "change"),
                before=exact_sum(row["change"].before or Decimal(0) for row in of_no_model)
                if known
                else None,
            ),
        }
    costly = {name for name, moved in own.items() if moved.now or moved.before}
    assert costly <= set(shown)
    for name, row in shown.items():
        moved = own.get(name, Moved(Decimal(0), Decimal(0), Decimal(0)))
        assert_change(row["cost"], row["change"], moved, known=known)


def sum_of(rows: list[dict[str, Cell]], column: str) -> Decimal:
    return exact_sum(Decimal(row[column].value or 0) for row in rows)


def assert_change(cost: Cell, change: Cell, own: Moved, *, known: bool) -> None:
    assert isinstance(cost.value, Decimal)
    assert_equal_to_the_cent(cost.value, own.now)
    if not known:
        assert change.before is None
    elif change.before is None:
        assert (own.compared, own.before) == (0, 0)
    else:
        assert_equal_to_the_cent(change.moved(), own.compared - own.before)


def assert_page(
    context: Any, own: Moved, *, known: bool, tables: dict[str, dict[str, Moved]]
) -> None:
    """The headline, the waterfall and every table."""
    total = context["total"]
    assert_equal_to_the_cent(total.now, own.now)
    assert (context["before"] is not None) == known
    if known:
        assert_equal_to_the_cent(total.compared - context["before"], own.compared - own.before)
        rows = context["change_chart"].table.rows
        assert_equal_to_the_cent(exact_sum(row["amount"].value for row in rows), own.compared)
        assert_equal_to_the_cent(rows[0]["amount"].value, own.before)
    for name, sums in tables.items():
        assert_rows(context[name], sums, known=known)


def names_shown(shares: list[Share]) -> dict[str, Callable[[Share], str]]:
    """What each table calls a share."""
    names = names_of(features={share.feature for share in shares})
    teams = {team.slug: team.name for team in Team.objects.all()}
    return {
        "by_team": lambda share: teams.get(share.team or "", "Unallocated"),
        "by_feature": lambda share: names.feature(share.feature),
        "by_model": lambda share: share.model or "no model",
        "by_provider": lambda share: share.provider or "unknown provider",
    }


def test_every_comparison_is_like_for_like_to_the_cent(ledger: Ledger) -> None:
    keys = names_shown(ledger.shares)
    for month in MONTHS:
        known = month != MONTHS[0]
        for metric, people in (
            ("effective_cost", ("executive", "finance", "admin")),
            ("billed_cost", ("executive",)),
        ):
            tables = {
                name: ledger.changes(ledger.shares, month, metric, key)
                for name, key in keys.items()
            }
            whole = ledger.changes(ledger.shares, month, metric, lambda _: "")[""]
            for username in people:
                context = opened(username, "/executive/", month, metric=metric)
                assert_page(context, whole, known=known, tables=tables)
                context = opened(username, "/showback/", month, metric=metric)
                assert_rows(context["table"], tables["by_team"], known=known)
        for team in Team.objects.all():
            own = [share for share in ledger.shares if share.team == team.slug]
            features = ledger.changes(own, month, "effective_cost", keys["by_feature"])
            total = ledger.changes(own, month, "effective_cost", lambda _: "")[""]
            leads = team.slug in ("support", "conversations")
            for username in ("executive", *(["teamlead"] if leads else [])):
                context = opened(username, f"/showback/{team.slug}/", month)
                assert_page(context, total, known=known, tables={"features": features})


def test_the_open_month_names_what_its_invoice_will_bring(ledger: Ledger) -> None:
    """Its usual size: the average of the three months before."""
    usual = [
        ledger.in_dollars(share, "effective_cost")
        for share in ledger.shares
        if share.comes_with_invoice and share.month < MONTHS[-1]
    ]
    average = exact_sum(usual) / 3 / 1000

    sentence = opened("executive", "/executive/", MONTHS[-1])["like_for_like"]

    assert f"About {average.quantize(Decimal('0.1'))} k USD" in sentence
    for words in ("the same days of each source", "tax", "support", "credits"):
        assert words in sentence
    assert opened("executive", "/executive/", MONTHS[-2])["like_for_like"] == ""
    # An amount is explained in the currency of its bill, also one that was converted.
    euros = opened("executive", "/explain/", MONTHS[-1], team="documents")
    assert (euros["state"].currency, euros["billed_otherwise"]) == ("EUR", [])
    both = opened("executive", "/explain/", MONTHS[-1], team="vision")
    assert both["state"].currency == "USD"
    assert [currency for currency, _, _ in both["billed_otherwise"]] == ["EUR"]


def test_plans_stand_beside_what_was_spent_to_the_cent(ledger: Ledger) -> None:
    """Each cost centre's cost, and in the open month where it ends if its daily charges go on."""
    centers = {team.slug: team.cost_center for team in TEAMS}
    for month in MONTHS:
        context = opened("executive", "/executive/", month)
        spent = [share for share in ledger.shares if ledger.is_now(share, month)]
        rows = {row["name"].note: row for row in context["on_plan"].rows}

        assert set(rows) == set(COST_CENTERS) - {"US-5100"}
        for code, row in rows.items():
            own = [share for share in spent if centers.get(share.team or "") == code]
            cost = exact_sum(ledger.in_dollars(share, "effective_cost") for share in own)
            assert_equal_to_the_cent(row["actual"].value, cost)
            if month == MONTHS[-1]:
                more = sum(still_to_come(ledger, share) for share in own)
                assert abs(row["pace"].value - cost - more) <= CENT
            else:
                assert "pace" not in [column.key for column in context["on_plan"].columns]
        whole = context["on_plan"].total["actual"].value
        assert whole + context["plans"].whole.unplanned == context["total"].now


def still_to_come(ledger: Ledger, share: Share) -> Decimal:
    """What the share adds on the days of November that its source has not billed yet."""
    if not ledger.is_alike(share, share.day):
        return Decimal(0)
    billed = ledger.delivered[share.source].day
    return ledger.in_dollars(share, "effective_cost") * (30 - billed) / billed
