"""What sampling does to shares: their weights are right on average, their error is recorded."""

from __future__ import annotations

import random
from decimal import Decimal as D

import pytest
from django.db import connection

from allocation.catalogue.canonical import SIDES
from allocation.models import Source
from allocation.usage.index import TOKENS, UsageIndex, Weighing, token_label
from tests.allocation.bills import OPENAI, Bill, allocate, billed_by_team, usage
from tests.allocation.calls import DAY, GPT, index_of, used

INPUT = Weighing(GPT, DAY, TOKENS, SIDES[0])


def day_of(*callers: tuple[int, int], places: int = 0) -> UsageIndex:
    """One day's index of callers, each (input tokens, variance)."""
    rows = [
        used(number, count)._replace(variance=(variance, 0))
        for number, (count, variance) in enumerate(callers)
        if count
    ]
    return index_of({GPT: {DAY: rows}}, places=places)


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
        weights = day_of(first, second).weights(INPUT)
        corrected += (
            next((w for target, w, _ in weights.entries if target == 0), 0) / weights.total / draws
        )
        plain += first[0] / (first[0] + second[0]) / draws

    assert plain < 0.485  # what the day gives by itself, of a half
    assert corrected == pytest.approx(0.5, abs=0.008)


def test_weights_are_tokens_and_their_variance_over_all_tokens() -> None:
    index = day_of((600, 90_000), (400, 0))

    found = index.weights(INPUT)

    assert [weight for _, weight, _ in found.entries] == [690, 400]
    assert (found.total, found.name.endswith(" tokens, corrected for sampling")) == (1090, True)
    assert index.facts.tokens(GPT, DAY, INPUT.columns) == 1000  # coverage is of what was traced


def test_a_correction_is_rounded_to_the_last_place_of_the_weights() -> None:
    """90,003 over 1,000 tokens, in whole ones and in hundredths."""
    whole = day_of((600, 90_003), (400, 0)).weights(INPUT)
    fine = day_of((60_000, 90_003), (40_000, 0), places=2).weights(INPUT)

    assert [weight for _, weight, _ in whole.entries] == [690, 400]
    assert [weight for _, weight, _ in fine.entries] == [69_000, 40_000]
    assert [weight for _, weight, _ in day_of((3, 3), (1, 0)).weights(INPUT).entries] == [4, 1]
    finer = day_of((300, 3), (100, 0), places=2).weights(INPUT)
    assert [weight for _, weight, _ in finer.entries] == [375, 100]


def test_weights_are_the_tokens_where_every_span_is_kept_or_one_pays_all() -> None:
    plain = day_of((600, 0), (400, 0)).weights(INPUT)

    assert [weight for _, weight, _ in plain.entries] == [600, 400]
    assert plain.name == token_label(INPUT.columns)
    assert day_of((600, 90_000)).weights(INPUT).total == 600


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
            "SELECT u.team, sum(u.cost_variance) FROM usage_daily u JOIN allocation_allocationrun "
            "r ON r.id = u.run_id"
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
    Source.objects.update(project_match="off")

    allocate()

    assert recorded() == {"search": pytest.approx(BY_HAND), "ads": pytest.approx(BY_HAND)}
