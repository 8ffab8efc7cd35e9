"""What sampling does to shares: their weights are right on average, their error is recorded."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal as D

import pytest
from django.db import connection

from allocation.catalogue.token_classes import SIDES, TOKEN_COLUMNS
from allocation.models import Source
from allocation.usage.index import Key, Usage, UsageIndex
from tests.allocation.bills import OPENAI, Bill, allocate, billed_by_team, usage

DAY = date(2026, 10, 5)
GPT = Key("openai", "proj-1", "gpt-4o", False)
INPUT = SIDES[0]


def day_of(*callers: tuple[int, int]) -> UsageIndex:
    """One day's index of callers, each (input tokens, variance)."""
    rows = [
        Usage(
            number,
            1,
            tuple(tokens if name == "input_uncached" else 0 for name in TOKEN_COLUMNS),
            None,
            (variance, 0),
        )
        for number, (tokens, variance) in enumerate(callers)
        if tokens
    ]
    return UsageIndex(0, list(range(10)), {GPT: {DAY: rows}})


def sampled(chance: random.Random, calls: list[int]) -> tuple[int, int]:
    """Extrapolated tokens and their variance where each call is kept with one chance in ten."""
    kept = [tokens for tokens in calls if chance.random() < 0.1]
    return 10 * sum(kept), 90 * sum(tokens * tokens for tokens in kept)


def test_few_large_calls_get_their_share_on_average() -> None:
    chance = random.Random(1)
    few, many = [1000] * 60, [100] * 600
    corrected = plain = 0.0
    draws = 3000
    for _ in range(draws):
        first, second = sampled(chance, few), sampled(chance, many)
        weights = day_of(first, second).tokens(GPT, DAY, INPUT)
        corrected += (
            next((w for target, w, _ in weights.entries if target == 0), 0) / weights.total / draws
        )
        plain += first[0] / (first[0] + second[0]) / draws

    assert plain < 0.485  # what the day gives by itself, of a half
    assert corrected == pytest.approx(0.5, abs=0.008)


def test_weights_are_tokens_and_their_variance_over_all_tokens() -> None:
    found = day_of((600, 90_000), (400, 0)).tokens(GPT, DAY, INPUT)

    assert [weight for _, weight, _ in found.entries] == [690, 400]
    assert (found.total, found.name.endswith("corrected for sampling")) == (1090, True)
    assert (
        day_of((600, 90_000), (400, 0)).traced(GPT, DAY, INPUT) == 1000
    )  # coverage is of what was traced


def test_weights_are_the_tokens_where_every_span_is_kept_or_one_pays_all() -> None:
    assert [
        weight for _, weight, _ in day_of((600, 0), (400, 0)).tokens(GPT, DAY, INPUT).entries
    ] == [600, 400]
    assert day_of((600, 90_000)).tokens(GPT, DAY, INPUT).total == 600


@pytest.fixture
def two_teams(db: None) -> Bill:
    bill = Bill()
    bill.charge("10", quantity="1000", **OPENAI, sku_meter="gpt-4o-2024-08-06, input")
    usage("search", input_uncached=600, variance_input=60_000)
    usage("ads", input_uncached=400, variance_input=20_000)
    return bill


def recorded() -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.team, sum(u.cost_variance) FROM usage_daily u JOIN allocation_allocationrun r ON r.id = u.run_id"
            " WHERE r.is_current GROUP BY 1"
        )
        return dict(cursor.fetchall())


# (C/X)^2 [(1-s)^2 v + s^2 (V-v)] (1 + 2 V/X^2), with C 10, X 1000, s 0.6, v 60,000 and V 80,000
BY_HAND = 1e-4 * (0.16 * 60_000 + 0.36 * 20_000) * 1.16


def test_the_error_is_recorded_though_no_span_is_stored_any_more(two_teams: Bill) -> None:
    allocate()

    assert recorded() == {"search": pytest.approx(BY_HAND), "ads": pytest.approx(BY_HAND)}
    # Weights 600 + 60 and 400 + 20 of 1,080.
    assert billed_by_team()["search"] == pytest.approx(D(10) * 660 / 1080)
    assert sum(billed_by_team().values()) == D(10)


def test_taxes_carry_the_error_along(two_teams: Bill) -> None:
    two_teams.charge("1", category="Tax", provider_name="OpenAI")

    allocate()

    assert recorded()["search"] == pytest.approx(BY_HAND * 1.1**2)


def test_the_error_is_recorded_where_projects_are_not_matched(two_teams: Bill) -> None:
    Source.objects.update(project_match=False)

    allocate()

    assert recorded() == {"search": pytest.approx(BY_HAND), "ads": pytest.approx(BY_HAND)}
