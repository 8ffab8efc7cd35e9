"""A first customer's way by the README: a bill that tells projects apart, traces that name none,
and default rules. What is attributed, by the commands that a customer runs.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from allocation.models import AllocatedCost, StoredTarget, Team
from tests.portal.bills import row, text
from tests.portal.ingest.otlp.sending import request, span

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

NOON = datetime(2026, 9, 2, 12, tzinfo=UTC)
PRICES = {"input": Decimal("0.0000025"), "output": Decimal("0.00001")}


@pytest.fixture(autouse=True)
def any_day_is_taken(settings: Settings) -> None:
    settings.SPAN_WINDOW_PAST_DAYS = 100_000


def line(project: str, token_class: str, tokens: int, tags: str = "") -> dict[str, str]:
    cost = str(PRICES[token_class] * tokens)
    meter = f"gpt-4o-2024-08-06, {token_class}"
    return row(
        SubAccountId=project,
        SubAccountName=project,
        ChargeDescription=meter,
        SkuId=meter,
        SkuPriceId=meter,
        ConsumedQuantity=str(tokens),
        PricingQuantity=str(tokens),
        BilledCost=cost,
        EffectiveCost=cost,
        ContractedCost=cost,
        ListCost=cost,
        ListUnitPrice=str(PRICES[token_class]),
        ContractedUnitPrice=str(PRICES[token_class]),
        Tags=tags,
    )


def calls(team: str, count: int, *, trace: int) -> dict[str, Any]:
    """Calls of 1000 tokens in and 100 out, as OpenTelemetry's own instrumentation tells them."""
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
    }
    spans = [
        span(trace * 1000 + number, told, trace=trace * 1000 + number, at=NOON)
        for number in range(count)
    ]
    return request(spans, {"service.name": f"{team}-api", "team": team})


def reconciled(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    lines: list[dict[str, str]],
    bodies: list[dict[str, Any]],
) -> dict[str, Decimal]:
    """The billed parts of September, by name, after bill and traces went in by command."""
    for slug in ("search", "ads", "quiet"):
        Team.objects.create(slug=slug, name=slug)
    (folder / "bill.csv").write_text(text(*lines))
    call_command("import_bill", str(folder / "bill.csv"), "--source", "openai")
    for number, body in enumerate(bodies):
        path = folder / f"traces-{number}.json"
        path.write_text(json.dumps(body))
        call_command("import_traces", str(path))
    call_command("allocate", "2026-09")
    capsys.readouterr()
    call_command("reconcile", "2026-09", "--json")
    rows = json.loads(capsys.readouterr().out)["rows"]
    (billed,) = [each for each in rows if each["metric"] == "billed_cost"]
    return {name: Decimal(billed[name]) for name in ("charges", "attributed", "unallocated")}


def test_over_95_percent_is_attributed_though_no_call_names_a_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        line(project, token_class, tokens)
        for project, share in (("proj-a", 50), ("proj-b", 30), ("proj-c", 20))
        for token_class, tokens in (("input", share * 1000), ("output", share * 100))
    ]

    found = reconciled(
        tmp_path, capsys, lines, [calls("search", 70, trace=1), calls("ads", 30, trace=2)]
    )

    assert found["attributed"] / found["charges"] > Decimal("0.95")


def test_a_project_of_a_team_that_sends_nothing_has_not_a_cent_by_traces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        line("proj-a", "input", 60_000),
        line("proj-quiet", "input", 40_000, tags='{"team": "quiet"}'),
    ]

    found = reconciled(tmp_path, capsys, lines, [calls("search", 80, trace=1)])

    search = StoredTarget.objects.filter(team="search").values("pk")
    by_traces = AllocatedCost.objects.filter(evidence=1)
    assert sum(each.billed_cost for each in by_traces) == Decimal("0.15")  # proj-a, all of it
    assert not by_traces.exclude(target_id__in=search).exists()
    assert found["attributed"] < found["charges"]
