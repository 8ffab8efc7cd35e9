"""What a draft would change, by the engine itself: exact, unseen by readers, and the only way to
new rules.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from allocation.catalogue.entries import Entry
from allocation.catalogue.own_entries import apply_catalogue
from allocation.models import (
    AllocationRun,
    ChargeScope,
    DriverPoint,
    Import,
    PriceVersion,
    RulePreview,
    RuleSet,
    Source,
    Team,
)
from allocation.preview.apply import NotPreviewed, apply_rules
from allocation.preview.preview import carry_out_preview, preview_months, record_preview
from allocation.preview.rule_test_data import check_draft, rule_reach, unmatched_charges
from allocation.rules.rule_sets import rule_set_for
from allocation.rules.rules import RuleError
from allocation.runs.month import AllocationBusy
from allocation.values.periods import Period
from tests.allocation.bills import AWS, NOW, OCTOBER, OPENAI, Bill, allocate, usage, utc

pytestmark = pytest.mark.django_db

MONTH = OCTOBER.start
RUN_TABLES = (
    "cost_daily",
    "usage_daily",
    "charge_group",
    "charge_to_split_key",
    "charge_split_key",
    "allocated_cost",
)
DRAFT = """
rules:
  - {name: EC2 is shared, method: fixed, when: {ServiceName: Amazon EC2},
     shares: [{team: search, share: 25}, {team: ads, share: 75}]}
  - {name: models, method: traced_usage, when: {Catalogue.Kind: model_usage}}
"""


def company() -> None:
    for slug in ("search", "ads"):
        Team.objects.create(slug=slug, name=slug.capitalize())
    bill = Bill()
    bill.charge("10.50", quantity="100", **(OPENAI | {"sku_meter": "gpt-4o, input"}))
    usage("search", "chat", input_uncached=100)
    aws = Bill("aws")
    aws.charge("8", "6", tags={"team": "search"}, **AWS)
    aws.charge("0.000000000000000007", tags={"team": "search"}, **AWS)
    aws.charge("5", currency="EUR", tags={"team": "ads"}, **(AWS | {"service_name": "Amazon S3"}))


def previewed(text: str, effective_from: date = MONTH, **options: Any) -> RulePreview:
    preview = record_preview(
        text=text,
        effective_from=effective_from,
        months=preview_months(effective_from),
        created_by="ada",
        now=NOW,
        **options,
    )
    return carry_out_preview(preview, now=NOW)


def lines(
    preview: RulePreview, level: str
) -> dict[tuple[str, str | None], tuple[Decimal, Decimal]]:
    """(currency, name or reason) -> billed and effective difference."""
    assert preview.outcome is not None
    return {
        (line["currency"], line["name"] or line["reason"]): (
            Decimal(line["billed_after"]) - Decimal(line["billed_before"]),
            Decimal(line["effective_after"]) - Decimal(line["effective_before"]),
        )
        for line in preview.outcome["differences"][level]
    }


def rows_of_runs() -> dict[str, int]:
    counts = {}
    with connection.cursor() as cursor:
        for table in RUN_TABLES:
            cursor.execute(f"SELECT count(*) FROM {table}")
            counts[table] = cursor.fetchone()[0]
    return counts


FIXED = "rules:\n- {name: all to ads, method: direct, target: {team: ads}}"


def test_who_gains_and_who_loses_is_exact_and_adds_up_to_nothing() -> None:
    company()
    allocate()

    preview = previewed(FIXED)

    tiny = Decimal("0.000000000000000007")
    assert lines(preview, "team") == {
        ("USD", "ads"): (Decimal("18.5") + tiny, Decimal("16.5") + tiny),
        ("USD", "search"): (-Decimal("18.5") - tiny, -Decimal("16.5") - tiny),
    }
    assert set(lines(preview, "feature")) == {("USD", None), ("USD", "chat")}
    assert lines(preview, "product") == {}
    assert {name for _, name in lines(preview, "month")} == {"2026-10"}
    assert preview.outcome is not None
    moved = {line["currency"]: line["moved"] for line in preview.outcome["differences"]["month"]}
    assert moved == {
        "EUR": {"billed_cost": "0", "effective_cost": "0"},
        "USD": {"billed_cost": "18.500000000000000007", "effective_cost": "16.500000000000000007"},
    }
    for level in ("team", "feature", "model"):
        for metric in ("billed", "effective"):
            found = preview.outcome["differences"][level]
            assert (
                sum(
                    Decimal(line[f"{metric}_after"]) - Decimal(line[f"{metric}_before"])
                    for line in found
                )
                == 0
            )


def test_a_preview_leaves_nothing_that_a_reader_could_see() -> None:
    company()
    allocate()
    before, runs = rows_of_runs(), list(AllocationRun.objects.values_list("pk", flat=True))

    previewed(FIXED)

    assert rows_of_runs() == before
    assert list(AllocationRun.objects.values_list("pk", flat=True)) == runs
    assert not RuleSet.drafts.exists()
    assert rule_set_for(date(2030, 1, 1)).number == 1


def test_a_bill_that_came_since_is_no_effect_of_the_draft() -> None:
    company()
    allocate()
    Bill("late").charge("100", tags={"team": "search"}, **AWS)

    preview = previewed(rule_set_for(MONTH).text + "# the same rules\n")

    assert lines(preview, "team") == {}
    assert preview.outcome is not None
    assert {line["base_sha256"] for line in preview.outcome["runs"]} == {
        line["sha256"] for line in preview.outcome["runs"]
    }


def test_what_is_applied_is_what_was_previewed() -> None:
    company()
    allocate()
    with pytest.raises(NotPreviewed, match="have no preview"):
        apply_rules(text=FIXED, effective_from=MONTH, acting_user="ada", now=NOW)
    preview = previewed(FIXED)

    made, is_new = apply_rules(text=FIXED, effective_from=MONTH, acting_user="ada", now=NOW)
    outcome = allocate()

    assert (made.number, made.text, made.created_by, is_new) == (2, FIXED, "ada", True)
    assert preview.outcome is not None
    assert {(line["currency"], line["sha256"]) for line in preview.outcome["runs"]} == {
        (run.currency, run.sha256) for run in outcome.runs
    }
    assert {run.rule_set for run in outcome.runs} == {2}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": FIXED + "\n# and a word"}, "have no preview"),
        ({"effective_from": date(2026, 11, 1)}, "for another month than 2026-11"),
        ({"now": NOW + timedelta(hours=25)}, "older than a day"),
    ],
)
def test_another_text_month_or_day_needs_a_preview_of_its_own(
    change: dict[str, Any], reason: str
) -> None:
    company()
    previewed(FIXED)

    with pytest.raises(NotPreviewed, match=reason):
        apply_rules(
            **{"text": FIXED, "effective_from": MONTH, "acting_user": None, "now": NOW, **change}
        )

    assert RuleSet.objects.count() == 1


def test_rules_applied_since_make_a_preview_stale() -> None:
    company()
    previewed(FIXED)
    previewed(DRAFT)
    apply_rules(text=DRAFT, effective_from=MONTH, acting_user=None, now=NOW)

    with pytest.raises(NotPreviewed, match="rule set 2 was applied after the preview"):
        apply_rules(text=FIXED, effective_from=MONTH, acting_user=None, now=NOW)


def late_bill() -> None:
    Bill("late").charge("1", currency="EUR", **AWS)


def withdrawn_bill() -> None:
    ChargeScope.objects.filter(source__name="openai").update(state="superseded")


def next_months_bill() -> None:
    Bill("next", month=date(2026, 11, 1)).charge("1", at=utc(1, month=11), **AWS)


def new_catalogue() -> None:
    entry = Entry("trace", "openai", "^chat$", None, "gpt-4o", None, None)
    apply_catalogue(entries=(entry,), acting_user=None)


def new_seats() -> None:
    DriverPoint.objects.update(quantity=2)
    change = {"subject": "seats", "first_month": "2026-10", "last_month": "2026-10"}
    Import.objects.create(
        kind="series", status="loaded", file_name="s", changes=[change], finished_at=timezone.now()
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (late_bill, r"import \d+ of late was loaded for October 2026"),
        (withdrawn_bill, r"import \d+ of openai was replaced or withdrawn for October 2026"),
        (next_months_bill, "the first bill of November 2026 was loaded"),
        (lambda: Team.objects.create(slug="new", name="New"), "the organisation changed"),
        (
            lambda: PriceVersion.objects.create(source="list", content_sha256="1"),
            "a newer price list was imported",
        ),
        (new_catalogue, "the catalogue changed"),
        (new_seats, "usage data changed"),
        (
            lambda: Source.objects.filter(name="aws").update(untraced="spread"),
            "the settings of aws changed",
        ),
    ],
)
def test_what_changed_since_makes_a_preview_stale_and_a_new_one_does_not(
    change: Callable[[], object], words: str
) -> None:
    company()
    DriverPoint.objects.create(series="seats", month=MONTH, team="ads", quantity=1)
    text = "rules:\n- {name: by seats, method: proportional, by: seats}"
    previewed(text)

    change()

    with pytest.raises(NotPreviewed, match=f"^since the preview of these rules {words}$"):
        apply_rules(text=text, effective_from=MONTH, acting_user=None, now=NOW)
    assert RuleSet.objects.count() == 1
    previewed(text)
    assert apply_rules(text=text, effective_from=MONTH, acting_user=None, now=NOW)[1]


def test_what_a_preview_did_not_look_at_leaves_it_fresh() -> None:
    company()
    previewed(FIXED)

    Bill("before", month=date(2026, 9, 1)).charge("1", at=utc(1, month=9), **AWS)
    usage("search", model="gpt-4o", input_uncached=100)
    DriverPoint.objects.create(series="desks", month=MONTH, team="ads", quantity=1)

    assert apply_rules(text=FIXED, effective_from=MONTH, acting_user=None, now=NOW)[1]


def test_a_preview_of_a_portal_without_bills_is_stale_with_the_first_one() -> None:
    Team.objects.create(slug="ads", name="Ads")
    previewed(FIXED)
    Bill("aws").charge("1", **AWS)

    with pytest.raises(NotPreviewed, match="the first bill of October 2026 was loaded"):
        apply_rules(text=FIXED, effective_from=MONTH, acting_user=None, now=NOW)


def test_a_preview_of_coming_months_tries_the_latest_bills_and_touches_no_month_before() -> None:
    company()
    first = allocate()

    preview = previewed(FIXED, date(2027, 1, 1))
    apply_rules(text=FIXED, effective_from=date(2027, 1, 1), acting_user=None, now=NOW)

    assert preview.months == ["2026-10"]
    assert [run.run for run in allocate().runs] == [run.run for run in first.runs]
    assert rule_set_for(MONTH).number == 1


def test_expired_previews_go_and_with_them_drafts_that_died_on_the_way() -> None:
    company()
    old = previewed(FIXED)
    draft = RuleSet.drafts.create(
        number=-old.pk, text=FIXED, content_sha256="0" * 64, effective_from=MONTH
    )
    AllocationRun.objects.create(billing_month=MONTH, currency="USD", rule_set=draft)

    record_preview(
        text=DRAFT.replace("fixed", "fixed "),
        effective_from=MONTH,
        months=[MONTH],
        created_by=None,
        now=NOW + timedelta(days=2),
    )

    assert not RulePreview.objects.filter(pk=old.pk).exists()
    assert not RuleSet.drafts.exists()
    assert not AllocationRun.objects.exists()


def test_a_preview_waits_for_the_month_to_be_free_and_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    company()
    preview = record_preview(
        text=FIXED, effective_from=MONTH, months=[MONTH], created_by=None, now=NOW
    )

    def busy(*_: Any) -> None:
        raise AllocationBusy("busy")

    with pytest.raises(AllocationBusy):
        carry_out_preview(preview, now=NOW, progress=busy)
    assert RulePreview.objects.get().outcome is None

    assert carry_out_preview(preview, now=NOW).outcome is not None


def test_what_each_rule_takes_and_what_none_takes() -> None:
    company()
    Bill("credits").charge("-2", **(AWS | {"service_name": "Amazon Bedrock"}))

    taken = check_draft(text=DRAFT, effective_from=MONTH, month=MONTH).matched

    assert taken is not None
    reach = {
        (each.rule, each.currency): (each.charges, str(each.billed_cost))
        for each in rule_reach(taken, month=MONTH)
    }
    assert reach == {
        ("EC2 is shared", "EUR"): (0, "0"),
        ("EC2 is shared", "USD"): (2, "8.000000000000000007"),
        ("models", "EUR"): (0, "0"),
        ("models", "USD"): (1, "10.50"),
        ("outside AI scope", "EUR"): (1, "5"),
        ("outside AI scope", "USD"): (1, "-2"),
    }
    assert [(each.service, str(each.billed_cost)) for each in unmatched_charges(taken)] == [
        ("Amazon S3", "5"),
        ("Amazon Bedrock", "-2"),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            "rules:\n- {name: a, method: fixed, shares: [{team: ads, share: 99}]}",
            "line 2: rule 'a': the shares add up to 99%",
        ),
        (
            "rules:\n- {name: a, method: follow, valid_to: 2026-12}\n"
            "- {name: a, method: follow, valid_from: 2026-11}",
            "line 3: rule 'a': stands twice for the same months",
        ),
        (
            "rules: []\npools:\n- {name: p, method: even, among: [{pool: q}]}\n"
            "- {name: q, method: even, among: [{pool: p}]}",
            "line 3: pool 'p': circle pool p > pool q > pool p",
        ),
        (
            "rules:\n- {name: a, method: direct, target: {team: adz}}",
            "line 2: rule 'a': there is no team 'adz'",
        ),
        (
            "rules:\n- {name: a, method: proportional, by: seats}",
            "line 2: rule 'a': there is no series 'seats'",
        ),
    ],
)
def test_fault_076_bad_shares_overlaps_and_circles_are_refused_before_saving(
    text: str, named: str
) -> None:
    company()

    with pytest.raises(RuleError) as refused:
        record_preview(text=text, effective_from=MONTH, months=[MONTH], created_by=None, now=NOW)

    assert any(problem.startswith(named) for problem in refused.value.problems), (
        refused.value.problems
    )
    assert not RulePreview.objects.exists()


def test_a_series_of_other_months_is_told_and_one_of_this_month_is_nothing_to_tell() -> None:
    company()
    text = "rules:\n- {name: a, method: proportional, by: seats}"
    DriverPoint.objects.create(series="seats", month=date(2026, 9, 1), team="ads", quantity=1)

    before = check_draft(text=text, effective_from=MONTH, month=MONTH)
    DriverPoint.objects.create(series="seats", month=MONTH, team="ads", quantity=1)
    after = check_draft(text=text, effective_from=MONTH, month=MONTH)

    assert [(each.level, each.line) for each in before.findings] == [("warning", 2)]
    assert "series 'seats' has nothing for October 2026" in before.findings[0].what
    assert after.findings == ()


def test_fault_077_rules_applied_during_a_run_do_not_change_it() -> None:
    company()
    first = allocate(reuse=False).runs
    previewed(FIXED)

    def apply_meanwhile(_done: int, _total: int, note: str) -> None:
        if note == "reading traces":
            apply_rules(text=FIXED, effective_from=MONTH, acting_user="ada", now=NOW)

    during = allocate(reuse=False, progress=apply_meanwhile).runs
    after = allocate(Period.parse("2026-10")).runs

    assert [(run.rule_set, run.sha256) for run in during] == [(1, run.sha256) for run in first]
    cited = AllocationRun.objects.get(pk=during[0].run)
    assert (
        cited.inputs["rules_sha256"]
        == cited.rule_set.content_sha256
        == RuleSet.objects.get(number=1).content_sha256
    )
    assert {run.rule_set for run in after} == {2}
