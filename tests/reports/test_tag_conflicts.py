"""Tags that name one team while usage, or the same resource on other days, names another."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pytest_django import Settings

from allocation.models import Team
from benchmarks.accuracy import result
from reports.asking import TeamScope
from reports.queries.ownership.tag_conflicts import BY_OTHER_DAYS, BY_USAGE, tag_conflicts
from tests.allocation.bills import AWS, OCTOBER, OPENAI, Bill, allocate, usage, utc

EVERYTHING = TeamScope.everything()


def teams(*slugs: str) -> None:
    Team.objects.bulk_create([Team(slug=slug, name=slug.title()) for slug in slugs])


def account(tagged: str) -> None:
    """A project whose only caller is `docs`, with the tag of somebody."""
    usage("docs", model="gpt-4o", input_uncached=100, at=utc(5))
    line = {**OPENAI, "sku_meter": "gpt-4o input tokens", "sub_account_name": "Documents"}
    Bill().charge("40", at=utc(5), quantity="100", tags={"team": tagged}, **line)


@pytest.mark.django_db
def test_an_account_is_named_whose_usage_is_another_teams() -> None:
    teams("docs", "search")
    account("search")
    allocate()

    found = tag_conflicts(month=OCTOBER.start, scope=EVERYTHING)

    assert [
        (row.sub_account, row.sub_account_name, row.tagged_team, row.likely_team) for row in found
    ] == [("proj-1", "Documents", "search", "docs")]
    assert (found[0].evidence, found[0].share, found[0].effective_cost) == (
        BY_USAGE,
        Decimal(1),
        Decimal(40),
    )


@pytest.mark.django_db
def test_an_account_that_its_own_team_uses_is_no_conflict_however_the_tag_is_written() -> None:
    teams("docs", "search")
    account(" Docs ")
    allocate()

    assert tag_conflicts(month=OCTOBER.start, scope=EVERYTHING) == []


@pytest.mark.django_db
def test_an_account_that_several_teams_use_is_no_conflict() -> None:
    teams("docs", "search", "chat")
    account("search")
    usage("chat", model="gpt-4o", input_uncached=100, at=utc(5))
    allocate()

    assert tag_conflicts(month=OCTOBER.start, scope=EVERYTHING) == []


@pytest.mark.django_db
def test_a_resource_is_named_with_the_days_on_which_it_had_another_tag() -> None:
    teams("vision", "search")
    bill = Bill()
    for day in range(1, 11):
        tag = "search" if day in (4, 5) else "vision"
        bill.charge(
            "3", at=utc(day), tags={"team": tag}, resource_id="i-1", resource_name="node-1", **AWS
        )
    allocate()

    (found,) = tag_conflicts(month=OCTOBER.start, scope=EVERYTHING)

    assert (found.resource_name, found.tagged_team, found.likely_team) == (
        "node-1",
        "search",
        "vision",
    )
    assert (found.evidence, found.share, found.effective_cost) == (
        BY_OTHER_DAYS,
        Decimal("0.8"),
        Decimal(6),
    )
    assert (found.first_day, found.last_day) == (date(2026, 10, 4), date(2026, 10, 5))


@pytest.mark.django_db
def test_a_conflict_with_another_team_is_not_a_team_leads_to_see() -> None:
    teams("docs", "search")
    account("search")
    allocate()

    for team in ("docs", "search"):
        assert tag_conflicts(month=OCTOBER.start, scope=TeamScope(frozenset({team}))) == []
    assert tag_conflicts(month=OCTOBER.start, scope=TeamScope(frozenset({"docs", "search"})))


@pytest.mark.django_db(transaction=True)
def test_the_demos_mistagged_account_and_nodes_are_named_and_nothing_else(
    tmp_path: Path, settings: Settings
) -> None:
    settings.SPAN_WINDOW_PAST_DAYS = 100_000

    found = result("mistagged", 0.05, "auto", 7, tmp_path, datetime(2026, 11, 1, tzinfo=UTC))

    assert found["conflicts"] == [
        "larkspur-docs-prod localization documents",
        "vision-g6-01 search vision",
        "vision-g6-02 search vision",
    ]
    assert found["ok"], found
