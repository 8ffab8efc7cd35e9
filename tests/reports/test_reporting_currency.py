"""One reporting currency: exact products at each month's rate, and nothing mixed or dropped where a
rate lacks.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocation.models import AllocationRun, ExchangeRate, RuleSet, RunStatus
from allocation.values.money import EXACT, exact_sum, minor_units
from allocation.values.periods import Period
from portal.accounts.models import Role
from reports.cost_question.answers import CostRow, converted
from reports.cost_question.runs import MonthRate, MonthRun, conversion
from reports.readable import change, money
from tests.factories import Costs, make_source, make_team, make_user
from tests.ledger_rows import add_cost, add_usage
from tests.portal.pages.words import text_of

SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def rate(month: date, base: str, quote: str, value: str) -> MonthRate:
    return MonthRate(month, base, quote, Decimal(value), "ECB", NOON, None)


def run(number: int, month: date, currency: str) -> MonthRun:
    return MonthRun(number, month, currency, month, Decimal(1), None)


RUNS = [
    run(1, SEPTEMBER, "USD"),
    run(2, OCTOBER, "USD"),
    run(3, OCTOBER, "EUR"),
    run(4, OCTOBER, "JPY"),
]
RATES = [
    rate(OCTOBER, "USD", "EUR", "0.92"),
    rate(SEPTEMBER, "USD", "EUR", "0.9"),
    rate(OCTOBER, "JPY", "USD", "0.0065"),
    rate(OCTOBER, "EUR", "JPY", "160"),  # its inverse is not used
]


def test_each_run_takes_the_rate_of_its_own_month_and_direction() -> None:
    found = conversion(runs=RUNS, rates=RATES, currency="EUR")

    assert [(group.factor, [one.id for one in group.runs]) for group in found.groups] == [
        (1, [3]),
        (Decimal("0.9"), [1]),
        (Decimal("0.92"), [2]),
    ]
    assert [one.id for one in found.unconverted] == [4]
    assert not found.covers(Period.month(OCTOBER))
    assert found.covers(Period.month(SEPTEMBER))
    assert not found.covers(Period.month(date(2026, 8, 1)))
    assert [one.rate for one in found.rates_of([OCTOBER])] == [Decimal("0.92")]


@settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # drawing is slow on a busy machine
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**32), 10**32).map(lambda quanta: Decimal(quanta).scaleb(-18, EXACT)),
            st.integers(1, 10**18).map(lambda quanta: Decimal(quanta).scaleb(-12, EXACT)),
        ),
        max_size=20,
    )
)
def test_the_sum_is_that_of_the_exact_products(pairs: list[tuple[Decimal, Decimal]]) -> None:
    rows = converted(
        [([CostRow(("search",), amount, amount.copy_negate())], rate) for amount, rate in pairs]
    )

    expected = exact_sum(EXACT.multiply(amount, rate) for amount, rate in pairs)
    assert exact_sum(row.now for row in rows) == expected
    assert exact_sum(row.before for row in rows) == expected.copy_negate()
    assert len(rows) == bool(pairs)


def test_converted_rows_keep_their_keys_apart_and_in_order() -> None:
    one, two = Decimal(1), Decimal(2)

    rows = converted([([CostRow((None,), one, one)], two), ([CostRow(("a",), one, two)], one)])

    assert rows == [CostRow(("a",), one, two), CostRow((None,), two, two)]


def test_fault_020_minor_units_are_those_of_the_currency() -> None:
    codes = ("USD", "EUR", "JPY", "KRW", "KWD", "BHD", "CLF", "", None)
    assert [minor_units(code) for code in codes] == [2, 2, 0, 0, 3, 3, 4, 2, 2]
    amount = Decimal("1234.5678")
    assert [money(amount, minor_units(code)) for code in ("JPY", "USD", "KWD")] == [
        "1,235",
        "1,234.57",
        "1,234.568",
    ]
    assert money(Decimal("0.0004"), 3) == "<0.001"
    assert money(Decimal("0.004"), 3) == "0.004"
    assert str(change(Decimal("3.4567"), Decimal("1"), 3)).startswith("up 2.457")


# ---------------------------------------------------------------- pages


@pytest.fixture
def company(db: None) -> None:
    make_team("search")
    for month, currency, cost in (
        (SEPTEMBER, "USD", "100"),
        (OCTOBER, "USD", "200.123456789012345678"),
        (OCTOBER, "EUR", "50"),
        (OCTOBER, "JPY", "10000.6"),
    ):
        costs = Costs(month, currency=currency)
        costs.add(5, cost, team="search", feature="chat", model="gpt-4o")
        costs.add(5, "7", team="search", ai_scope="other")
        costs.balance()
    load_rate(OCTOBER, "USD", "EUR", "0.92")
    load_rate(SEPTEMBER, "USD", "EUR", "0.9")


def load_rate(month: date, base: str, quote: str, value: str) -> None:
    ExchangeRate.objects.create(
        month=month, base=base, quote=quote, rate=Decimal(value), source="ECB", uploaded_at=NOON
    )


def signed_in(role: Role = Role.EXECUTIVE) -> Client:
    client = Client()
    client.force_login(make_user(role))
    return client


CONVERTED = Decimal("200.123456789012345678") * Decimal("0.92") + 50


def test_fault_019_a_reported_total_names_its_rates_and_what_has_none(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10&currency=USD&report=EUR")

    body = text_of(response.content)
    assert response.context["total"].now == CONVERTED
    for table in ("by_team", "by_model", "by_feature", "by_provider", "by_evidence"):
        assert response.context[table].total["cost"].value == CONVERTED, table
    assert response.context["day_chart"].table.total["total"].value == CONVERTED
    assert response.context["other_cost"] == 7 * Decimal("0.92") + 7
    assert "Cost, EUR" in body
    assert "Cost, USD" not in body
    assert "Oct 2026 0.92 EUR for 1 USD (ECB, uploaded 3 Nov 2026)" in body
    assert "Not in these figures, for want of a rate into EUR" in body
    assert "10,001 JPY" in body
    assert response.context["before"] == 90


def test_with_a_rate_for_every_month_nothing_is_left_out(company: None) -> None:
    load_rate(OCTOBER, "JPY", "EUR", "0.00625")
    expected = CONVERTED + Decimal("10000.6") * Decimal("0.00625")

    for address in ("/executive/", "/showback/", "/showback/search/"):
        response = signed_in().get(f"{address}?period=2026-10&report=EUR")
        assert "Not in these figures" not in text_of(response.content)
        if address != "/showback/":
            assert response.context["total"].now == expected
        else:
            assert response.context["table"].total["cost"].value == expected
    assert response.context["parts"].total["cost"].value == expected
    assert response.context["matrix"].total["all"].value == expected
    rows = response.context["change_chart"].table.rows
    assert exact_sum(row["amount"].value for row in rows) == expected


def test_a_compared_month_without_a_rate_is_no_comparison(company: None) -> None:
    ExchangeRate.objects.filter(month=SEPTEMBER).delete()

    response = signed_in().get("/executive/?period=2026-10&report=EUR")

    assert response.context["before"] is None
    assert response.context["change_chart"] is None
    assert "Sep 2026" in text_of(response.content)
    assert "100.00 USD in the compared period" in text_of(response.content)


def test_a_currency_without_any_rate_converts_nothing_and_says_so(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10&report=CHF")

    body = text_of(response.content)
    assert response.context["total"].now == 0
    for words in ("200.12 USD", "50.00 EUR", "10,001 JPY"):
        assert words in body


def test_without_the_wish_every_currency_stands_apart_as_before(company: None) -> None:
    response = signed_in().get("/executive/?period=2026-10&currency=JPY")

    body = text_of(response.content)
    assert response.context["total"].now == Decimal("10000.6")
    assert "10,001" in body
    assert "10,000.60" not in body
    assert "Report in" in body
    assert "Not included: costs billed in" in body


# ---------------------------------------------------------------- one total without a wish


def test_every_currency_with_a_rate_is_converted_by_default_and_marked(company: None) -> None:
    load_rate(OCTOBER, "JPY", "USD", "0.0065")
    load_rate(OCTOBER, "EUR", "USD", "1.1")

    response = signed_in().get("/executive/?period=2026-10&currency=USD")

    body = text_of(response.content)
    expected = Decimal("200.123456789012345678") + 55 + Decimal("10000.6") * Decimal("0.0065")
    assert response.context["total"].now == expected
    assert response.context["before"] == 100
    assert "Includes 50 EUR, 10,001 JPY converted into USD at the rate of each" in body
    assert "Oct 2026 1.1 USD for 1 EUR (ECB, uploaded 3 Nov 2026)" in body
    assert "Not included" not in body
    # September has one currency, the page's own: nothing to convert.
    september = signed_in().get("/executive/?period=2026-09&currency=USD")
    assert "at the rate of" not in text_of(september.content)


def test_without_a_rate_for_all_both_sums_stand_in_the_headline(company: None) -> None:
    load_rate(OCTOBER, "EUR", "USD", "1.1")

    response = signed_in().get("/executive/?period=2026-10&currency=USD")

    assert response.context["total"].now == Decimal("200.123456789012345678")
    assert "200 USD and 50 EUR and 10,001 JPY for AI, USD up 100 (100.1%)" in text_of(
        response.content
    )


def test_currencies_stand_apart_where_the_reader_wants_them_as_billed(company: None) -> None:
    load_rate(OCTOBER, "JPY", "USD", "0.0065")
    load_rate(OCTOBER, "EUR", "USD", "1.1")

    response = signed_in().get("/executive/?period=2026-10&currency=USD&report=billed")

    assert response.context["total"].now == Decimal("200.123456789012345678")
    body = response.content.decode()
    assert '<option value="billed" selected>as billed</option>' in body
    assert "report=billed" in body


def euro_team() -> None:
    make_team("legal")
    names = {"source_id": make_source().pk, "team": "legal", "feature": "review"}
    for month in (SEPTEMBER, OCTOBER):
        run, _ = AllocationRun.objects.get_or_create(
            billing_month=month,
            currency="EUR",
            is_current=True,
            defaults={"rule_set": RuleSet.objects.get(), "status": RunStatus.SUCCEEDED},
        )
        cost = Decimal("30.5")
        day = month.replace(day=3)
        add_cost(run, day, evidence=4, names=names, billed_cost=cost, effective_cost=cost)


def test_a_team_billed_in_another_currency_never_reads_zero(company: None) -> None:
    euro_team()

    for report, cost, shown in (("", "30.5", "EUR"), ("EUR", "30.5", "EUR")):
        page = signed_in().get(f"/showback/legal/?period=2026-10&currency=USD&report={report}")
        assert page.context["total"].now == Decimal(cost)
        assert f"{shown}" in text_of(page.content)
    listed = signed_in().get("/showback/?period=2026-10&currency=USD").context["table"]
    legal = next(row for row in listed.rows if row["name"].value == "Legal")
    assert (legal["cost"].value, legal["apart"].value) == (None, "30.50 EUR")
    executive = signed_in().get("/executive/?period=2026-10&currency=USD").context["by_team"]
    assert "30.50 EUR" in [row["apart"].value for row in executive.rows if "apart" in row]
    assert listed.total["cost"].value == Decimal("200.123456789012345678")

    load_rate(OCTOBER, "JPY", "USD", "0.0065")
    for month in (SEPTEMBER, OCTOBER):
        load_rate(month, "EUR", "USD", "1.1")
    page = signed_in().get("/showback/legal/?period=2026-10&currency=USD")
    assert (page.context["total"].now, page.context["before"]) == (Decimal("33.55"),) * 2


def test_a_team_without_any_cost_has_no_empty_axis(company: None) -> None:
    make_team("idle")

    response = signed_in().get("/showback/idle/?period=2026-10&currency=USD")

    assert (response.context["day_chart"], response.context["change_chart"]) == (None, None)
    assert "No cost on these days." in text_of(response.content)
    assert "No cost in either period." in text_of(response.content)


def test_calls_are_counted_once_however_many_currencies_are_billed(company: None) -> None:
    """Each currency's run of a month knows the same calls."""
    for number, run in enumerate(
        AllocationRun.objects.filter(billing_month=OCTOBER).order_by("pk"), 1
    ):
        add_usage(
            run,
            OCTOBER,
            team="search",
            feature="chat",
            model="gpt-4o",
            calls=1000,
            tokens_input=number,
            tokens_output=0,
            cost_variance=4,
        )
    load_rate(OCTOBER, "JPY", "EUR", "0.5")

    executive = signed_in().get("/executive/?period=2026-10&report=EUR&compare=none")
    team = signed_in().get("/showback/search/?period=2026-10&report=EUR&compare=none")

    cost = CONVERTED + Decimal("10000.6") * Decimal("0.5")
    for page in (executive, team):
        assert page.context["unit"].calls == 1000
        assert page.context["unit"].now == cost
    # The root of 4 times the squares of 1, 0.92 and 0.5, to two digits.
    assert team.context["sampling_error"] == Decimal("2.9")


def test_a_lead_gets_only_the_own_team_converted(company: None) -> None:
    make_team("sales")
    costs = Costs(date(2026, 8, 1), currency="CHF")
    costs.add(70, "31337", team="sales")
    costs.balance()
    client = Client()
    team = make_team("support")
    client.force_login(make_user(Role.TEAM_LEAD, teams=[team]))

    response = client.get("/showback/support/?period=2026-10&report=EUR")

    assert response.status_code == 200
    assert "31,337" not in text_of(response.content)
    assert response.context["total"].now == 0
    assert response.context["unconverted"] == []
    assert client.get("/showback/sales/?report=EUR").status_code == 404


def test_links_keep_the_reporting_currency(company: None) -> None:
    body = signed_in().get("/executive/?period=2026-10&currency=USD&report=EUR").content.decode()

    assert "/showback/search/?period=2026-10&amp;currency=USD&amp;report=EUR" in body
    chargeback = (
        signed_in(Role.FINANCE)
        .get("/chargeback/?period=2026-10&currency=USD&report=EUR")
        .content.decode()
    )
    assert "Report in" not in chargeback
    assert '<input type="hidden" name="report" value="EUR">' in chargeback
    assert "Loaded, USD" in chargeback
