from __future__ import annotations

from datetime import date

import pytest
from django.http import Http404
from django.test import RequestFactory

from allocation.models import Team
from allocation.values.periods import Period
from portal.accounts.models import Role, User
from portal.pages.frame.state import PageState
from tests.factories import Costs, make_team, make_user

pytestmark = pytest.mark.django_db


def state_of(address: str, user: User | None = None) -> PageState:
    request = RequestFactory().get(address)
    request.user = user or make_user(Role.EXECUTIVE)
    return PageState.from_request(request)


@pytest.fixture
def months() -> list[Team]:
    teams = [make_team("search", unit="product"), make_team("support", unit="operations")]
    for month, currency, cost in ((9, "USD", "10"), (10, "EUR", "900"), (10, "USD", "20")):
        costs = Costs(date(2026, month, 1), currency=currency)
        costs.add(12, cost, team="search")
        costs.balance()
    return teams


def test_defaults_are_the_latest_month_and_the_costliest_currency(months: list[Team]) -> None:
    state = state_of("/executive/")

    assert state.period == Period.month(date(2026, 10, 1))
    assert (state.currency, state.metric, state.compare_choice) == (
        "EUR",
        "effective_cost",
        "previous",
    )
    assert state.query_string() == "period=2026-10&currency=EUR"


def test_bills_that_end_early_shorten_the_comparison(months: list[Team]) -> None:
    state = state_of("/executive/?period=2026-10&currency=USD")

    assert state.is_running
    assert state.elapsed == Period(date(2026, 10, 1), date(2026, 10, 13))
    assert state.compare == Period(date(2026, 9, 1), date(2026, 9, 13))
    assert state.comparison_known


def test_a_month_without_runs_before_is_not_comparable(months: list[Team]) -> None:
    assert not state_of("/executive/?period=2026-09&currency=USD").comparison_known
    assert state_of("/executive/?compare=none").compare is None


def test_links_keep_the_view_and_change_what_is_asked(months: list[Team]) -> None:
    state = state_of(
        "/executive/?from=2026-10-05&to=2026-10-11&metric=billed_cost&currency=USD&environment=production"
    )

    assert state.period == Period(date(2026, 10, 5), date(2026, 10, 12))
    assert state.query_string(team="search") == (
        "from=2026-10-05&to=2026-10-11&currency=USD&metric=billed_cost&team=search&environment=production"
    )
    assert "environment" not in state.query_string(environment=None)


def test_what_is_not_understood_is_ignored_and_named(months: list[Team]) -> None:
    state = state_of("/executive/?period=2026-13&metric=gross&from=2026-10-09&to=2026-10-01")

    assert state.period == Period.month(date(2026, 10, 1))
    assert state.metric == "effective_cost"
    assert len(state.problems) == 3


def test_a_team_or_unit_narrows_the_scope(months: list[Team]) -> None:
    assert state_of("/executive/?team=support").scope.teams == frozenset({"support"})
    assert state_of("/executive/?unit=product").scope.teams == frozenset({"search"})


def test_a_lead_cannot_widen_their_scope(months: list[Team]) -> None:
    lead = make_user(Role.TEAM_LEAD, teams=[months[0]])

    assert state_of("/showback/", lead).scope.teams == frozenset({"search"})
    assert state_of("/showback/?unit=operations", lead).scope.teams == frozenset()
    with pytest.raises(Http404):
        state_of("/showback/?team=support", lead)


def test_nothing_imported_yet_still_has_a_period() -> None:
    state = state_of("/executive/")

    assert (state.period.is_month, state.currency, state.has_data) == (True, "", False)


def test_a_scope_opens_in_the_currency_of_its_own_cost(months: list[Team]) -> None:
    costs = Costs(date(2026, 11, 1), currency="USD")
    costs.add(1, "500", team="support")
    costs.balance()
    costs = Costs(date(2026, 11, 1), currency="EUR")
    costs.add(1, "3", team="search")
    costs.balance()

    assert state_of("/executive/").currency == "USD"
    assert state_of("/executive/").other_currencies == ["EUR"]
    assert state_of("/executive/?team=search").currency == "EUR"
    assert state_of("/showback/", make_user(Role.TEAM_LEAD, teams=[months[0]])).currency == "EUR"
