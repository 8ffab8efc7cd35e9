"""The demo's files: equal bytes for equal settings, and a truth that is the bill."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from portal.demo import events
from portal.demo.company import TEAMS
from portal.demo.features import FEATURES
from portal.demo.generate import DemoFiles, write_files
from portal.demo.models import MODELS
from portal.demo.settings import DemoSettings, demo_settings

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoSettings, DemoFiles]:
    """The whole default window, at half of the traffic."""
    settings = demo_settings(now=NOW, scale=0.5)
    return settings, write_files(settings, tmp_path_factory.mktemp("demo"))


@cache
def read_bill(path: Path) -> list[dict[str, str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return list(csv.DictReader(io.StringIO(text)))


@cache
def read_spans(path: Path) -> list[tuple[dict[str, str], Span, dict[str, object]]]:
    """(resource attributes, span, span attributes) of every span of one day's file."""
    request = ExportTraceServiceRequest.FromString(gzip.decompress(path.read_bytes()))
    found = []
    for resource in request.resource_spans:
        told = {item.key: item.value.string_value for item in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                values = {
                    item.key: getattr(item.value, str(item.value.WhichOneof("value")))
                    for item in span.attributes
                }
                found.append((told, span, values))
    return found


def day_of(span: Span) -> str:
    return datetime.fromtimestamp(span.start_time_unix_nano / 1e9, UTC).date().isoformat()


def test_equal_settings_give_equal_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    contents = []
    for number, seed in enumerate((7, 7, 8)):
        settings = demo_settings(now=NOW, days=4, seed=seed, scale=0.05)
        files = write_files(settings, tmp_path / str(number))
        paths = [*files.traces, *(path for _, path in files.bills)]
        contents.append({path.name: path.read_bytes() for path in paths})

    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_a_day_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    yesterday = demo_settings(now=NOW - timedelta(days=1), scale=0.05)
    today = demo_settings(now=NOW, anchor=yesterday.anchor, scale=0.05)
    early = write_files(yesterday, tmp_path / "early")

    late = write_files(today, tmp_path / "late", since=yesterday.now)
    whole = write_files(today, tmp_path / "whole")

    def spans(files: DemoFiles, day: str) -> set[bytes]:
        return {
            span.span_id
            for path in files.traces
            for _, span, _ in read_spans(path)
            if day_of(span) == day
        }

    assert spans(early, "2026-11-21") | spans(late, "2026-11-21") == spans(whole, "2026-11-21")
    assert not spans(early, "2026-11-21") & spans(late, "2026-11-21")
    bills = {path.name: path.read_bytes() for _, path in late.bills}
    assert set(bills) == {path.name for _, path in whole.bills if "2026-11" in path.name}
    assert all(
        bills[path.name] == path.read_bytes() for _, path in whole.bills if path.name in bills
    )


def test_truth_is_the_bill_for_each_source_month_currency_and_metric(
    made: tuple[DemoSettings, DemoFiles],
) -> None:
    _, files = made
    assert len(files.bills) == 12
    truth: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in files.truth.rows():
        truth[row["month"], row["source"], row["currency"]][0] += Decimal(row["billed_cost"])
        truth[row["month"], row["source"], row["currency"]][1] += Decimal(row["effective_cost"])
    for bill, path in files.bills:
        rows = read_bill(path)
        (currency,) = {row["BillingCurrency"] for row in rows}

        assert truth[f"{bill.month:%Y-%m}", bill.source, currency] == [
            sum(Decimal(row["BilledCost"]) for row in rows),
            sum(Decimal(row["EffectiveCost"]) for row in rows),
        ]


def test_bills_speak_focus(made: tuple[DemoSettings, DemoFiles]) -> None:
    _, files = made
    for _, path in files.bills:
        for row in read_bill(path):
            if row["ListUnitPrice"]:
                assert Decimal(row["ListCost"]) == Decimal(row["ListUnitPrice"]) * Decimal(
                    row["PricingQuantity"]
                )
                assert Decimal(row["ContractedCost"]) == Decimal(
                    row["ContractedUnitPrice"]
                ) * Decimal(row["PricingQuantity"])
            assert bool(row["ConsumedQuantity"]) == bool(row["ConsumedUnit"])
            assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]


def test_a_complete_demo_traces_every_token_on_the_bill(tmp_path: Path) -> None:
    settings = demo_settings(now=NOW, days=3, scale=0.3, sampling="none", complete=True)
    files = write_files(settings, tmp_path)
    traced = 0
    billed = {settings.first_day.isoformat(), (settings.first_day + timedelta(days=1)).isoformat()}
    for path in files.traces:
        for resource, span, values in read_spans(path):
            if day_of(span) not in billed:
                continue
            if (
                resource["gen_ai.project"].startswith("proj_")
                and values.get("gen_ai.operation.name") != "invoke_agent"
            ):
                traced += sum(
                    int(str(values.get(name, 0)))
                    for name in (
                        "gen_ai.usage.input_tokens",
                        "gen_ai.usage.output_tokens",
                        "gen_ai.usage.prompt_tokens",
                        "gen_ai.usage.completion_tokens",
                    )
                )

    (path,) = (path for bill, path in files.bills if bill.source == "openai")
    assert traced == sum(int(row["ConsumedQuantity"] or 0) for row in read_bill(path))


def test_the_company_is_as_large_as_promised(made: tuple[DemoSettings, DemoFiles]) -> None:
    settings, files = made
    rows = list(files.truth.rows())

    assert len(TEAMS) == 12 == len({row["team"] for row in rows} - {""})
    assert len(MODELS) == 10
    assert 38 <= len(FEATURES) <= 42
    assert {row["source"] for row in rows} == {"openai", "aws", "google-cloud"}
    assert {row["currency"] for row in rows} == {"USD", "EUR"}
    assert len(settings.months) == 4


# ---------------------------------------------------------------- things worth finding


def daily_cost(
    files: DemoFiles, feature: str, *, metric: str = "effective_cost"
) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in files.truth.rows():
        if row["feature"] == feature:
            found[row["day"]] += Decimal(row[metric])
    return found


def test_the_runaway_retrain_costs_more_than_three_thousand_a_day(
    made: tuple[DemoSettings, DemoFiles],
) -> None:
    settings, files = made
    cost = daily_cost(files, "ranker-retrain")

    _, begins, ends = events.RUNAWAY_RETRAIN
    assert all(cost[settings.day(day).isoformat()] > 3000 for day in range(begins, ends + 1))
    assert cost[settings.day(ends + 2).isoformat()] < 300


def test_the_verbose_release_writes_more_tokens_per_call(
    made: tuple[DemoSettings, DemoFiles],
) -> None:
    settings, files = made

    release = settings.day(events.VERBOSE_RELEASE[1]).isoformat()
    counts: dict[str, list[int]] = defaultdict(list)
    for path in files.traces:
        for resource, span, values in read_spans(path):
            if (
                resource.get("feature") == "ticket-summary"
                and "gen_ai.usage.output_tokens" in values
            ):
                counts[day_of(span)].append(int(str(values["gen_ai.usage.output_tokens"])))

    before = [count for day, found in counts.items() if day < release for count in found]
    after = [count for day, found in counts.items() if day >= release for count in found]
    assert sum(after) / len(after) > 1.8 * sum(before) / len(before)


def test_the_idle_node_is_billed_after_its_last_call(made: tuple[DemoSettings, DemoFiles]) -> None:
    settings, files = made
    last = settings.day(events.IDLE_NODE[1])
    called = {
        day_of(span)
        for path in files.traces
        for resource, span, _ in read_spans(path)
        if resource.get("feature") == "staging-inference"
    }

    assert max(called) <= last.isoformat()
    assert daily_cost(files, "staging-inference")[settings.day(10).isoformat()] > 250


def test_the_mistagged_nodes_carry_another_teams_tag(made: tuple[DemoSettings, DemoFiles]) -> None:
    _, files = made
    tags = {
        row["Tags"]
        for _, path in files.bills
        for row in read_bill(path)
        if row["ResourceName"] == "vision-g6-01"
    }

    assert len(tags) == 2
    assert any('"team": "search"' in tag for tag in tags)
    assert any('"team": "vision"' in tag for tag in tags)


def test_the_late_credit_is_billed_a_month_after_the_outage(
    made: tuple[DemoSettings, DemoFiles],
) -> None:
    _, files = made
    (late,) = (
        row
        for _, path in files.bills
        for row in read_bill(path)
        if row["ChargeClass"] == "Correction"
    )

    assert late["ChargeCategory"] == "Credit"
    assert (late["BillingPeriodStart"][:7], late["ChargePeriodStart"][:7]) == ("2026-10", "2026-09")
    assert Decimal(late["BilledCost"]) < -500


def test_the_hack_week_goes_on(made: tuple[DemoSettings, DemoFiles]) -> None:
    settings, files = made
    hours = {
        (day_of(span), span.start_time_unix_nano // (3600 * 10**9) % 24)
        for path in files.traces
        for resource, span, _ in read_spans(path)
        if resource["deployment.environment.name"] == "experiment"
    }

    assert min(day for day, _ in hours) == settings.day(-84).isoformat()
    assert max(day for day, _ in hours) == settings.now.date().isoformat()
    assert {hour for _, hour in hours} == set(range(24))  # nobody sleeps who is a cron job
    assert daily_cost(files, events.HACKWEEK)[settings.day(10).isoformat()] > 10


def test_the_last_hours_have_errors_and_a_slow_model(
    made: tuple[DemoSettings, DemoFiles], tmp_path: Path
) -> None:
    settings = demo_settings(now=NOW, days=4)
    files = write_files(settings, tmp_path)
    calls = [span for path in files.traces for span in read_spans(path)]
    since = int((NOW - timedelta(hours=4)).timestamp() * 1e9)

    recent = [
        span
        for told, span, _ in calls
        if told.get("feature") == "reply-suggest" and span.start_time_unix_nano > since
    ]
    assert sum(span.status.code == 2 for span in recent) > 0.2 * len(recent)

    def seconds(span: Span) -> float:
        return float(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9

    begins = int((NOW - timedelta(hours=30)).timestamp() * 1e9)
    gemini = [
        span for _, span, _ in calls if span.name == "chat gemini-2.5-pro" and span.status.code == 0
    ]
    slow = [seconds(span) for span in gemini if span.start_time_unix_nano >= begins]
    usual = [seconds(span) for span in gemini if span.start_time_unix_nano < begins]
    assert sorted(slow)[len(slow) // 2] > 2 * sorted(usual)[len(usual) // 2]


def test_traces_have_agents_retries_sampling_customers_and_gaps(
    made: tuple[DemoSettings, DemoFiles],
) -> None:
    _, files = made
    spans = [span for path in files.traces for span in read_spans(path)]
    names = {span.name.split()[0] for _, span, _ in spans}

    assert {"invoke_agent", "execute_tool", "chat", "embeddings", "retrieval", "POST"} <= names
    assert any(span.trace_state.startswith("ot=th:") for _, span, _ in spans)
    assert any(not span.trace_state for _, span, _ in spans)
    assert len({values["customer"] for _, _, values in spans if "customer" in values}) > 20
    assert len({values["session.id"] for _, _, values in spans if "session.id" in values}) > 1000
    assert {told["deployment.environment.name"] for told, _, _ in spans} == {
        "production",
        "staging",
        "experiment",
    }
    assert len({values.get("gen_ai.prompt.version") for _, _, values in spans} - {None}) >= 5
    assert any(told.get("team") == "trust-safety" for told, _, _ in spans)
    assert any("team" not in told for told, _, _ in spans)
    assert any("llm.token_count.prompt" in values for _, _, values in spans)
    assert any("gen_ai.usage.prompt_tokens" in values for _, _, values in spans)
    assert any(values.get("gen_ai.request.model") == "larkspur-ranker-3" for _, _, values in spans)
    assert any("gen_ai.response.time_to_first_chunk" in values for _, _, values in spans)
    by_trace: dict[bytes, list[Span]] = defaultdict(list)
    for _, span, _ in spans:
        by_trace[span.trace_id].append(span)
    retried = [
        group
        for group in by_trace.values()
        if {span.status.code for span in group if span.name.startswith("chat")} == {0, 2}
    ]
    assert retried


def test_agents_run_the_tools_of_their_trade(made: tuple[DemoSettings, DemoFiles]) -> None:
    """No contract is reviewed by running tests."""
    tools = {feature.slug: set(feature.tools) for feature in FEATURES}
    agents = {
        feature.slug
        for feature in FEATURES
        if any(traffic.shape == "agent" for traffic in feature.traffic)
    }
    ran: dict[str, set[object]] = defaultdict(set)
    for path in made[1].traces:
        for told, _, values in read_spans(path):
            if "gen_ai.tool.name" in values:
                ran[told["feature"]].add(values["gen_ai.tool.name"])

    assert ran.keys() == agents
    assert all(ran[slug] <= tools[slug] for slug in agents)
    assert "run_tests" not in tools["contract-review"]


def test_spans_of_one_trace_nest(made: tuple[DemoSettings, DemoFiles]) -> None:
    _, files = made
    for path in files.traces[-2:]:
        ids: dict[bytes, Span] = {}
        for _, span, _ in read_spans(path):
            assert span.span_id not in ids
            ids[span.span_id] = span
        for span in ids.values():
            if span.parent_span_id:
                parent = ids[span.parent_span_id]
                assert parent.trace_id == span.trace_id
                assert parent.start_time_unix_nano <= span.start_time_unix_nano
                assert span.end_time_unix_nano <= parent.end_time_unix_nano
