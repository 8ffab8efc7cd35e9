"""Bills and traces as people send them, through both doors: who pays for what, by name and unit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from allocation.catalogue.price_store import ensure_prices
from allocation.models import LedgerGroup, ProviderUsage
from tests.allocation.bills import allocate, shares
from tests.allocation.runs.test_methods import by_team, teams
from tests.portal.bills import deliver, row, text

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

AT = datetime(2026, 10, 7, 9, tzinfo=UTC)
NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
Captured = pytest.CaptureFixture[str]

OPENAI = {"ProviderName": "OpenAI", "ServiceName": "OpenAI API"}
AZURE = {"ProviderName": "Microsoft", "ServiceName": "Azure OpenAI"}
XAI = {"ProviderName": "xAI", "ServiceName": "xAI API"}
ANTHROPIC = {"ProviderName": "Anthropic", "ServiceName": "Claude API"}
GEMINI = {"ProviderName": "Google Cloud", "PublisherName": "Google", "ServiceName": "Gemini API"}
VERTEX = {"ProviderName": "Google Cloud", "PublisherName": "Google", "ServiceName": "Vertex AI"}


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@dataclass
class Line:
    """A row of a bill; its wording stands in the description, and nowhere else unless told."""

    wording: str
    cost: str
    quantity: str = ""
    unit: str = "Tokens"
    columns: dict[str, str] = field(default_factory=dict)

    def as_row(self, seller: dict[str, str]) -> dict[str, str]:
        empty = dict.fromkeys(("PricingQuantity", "PricingUnit", "SkuId", "SkuPriceId", "Tags"), "")
        costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"))
        return row(
            **empty,
            **dict.fromkeys(costs, self.cost),
            SkuMeter="",
            SkuPriceDetails="",
            BillingPeriodStart="2026-10-01T00:00:00Z",
            BillingPeriodEnd="2026-11-01T00:00:00Z",
            ChargePeriodStart="2026-10-07T00:00:00Z",
            ChargePeriodEnd="2026-10-08T00:00:00Z",
            ChargeDescription=self.wording,
            ConsumedQuantity=self.quantity,
            ConsumedUnit=self.unit if self.quantity else "",
            SubAccountId="p-1",
            InvoiceIssuerName=seller["ProviderName"],
        ) | {**seller, **self.columns}


def call(
    team: str, provider: str | None, model: str, tokens: int, output: Any = 0, **more: Any
) -> dict[str, Any]:
    """Attributes of a call."""
    named = {} if provider is None else {"gen_ai.provider.name": provider}
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.project": "p-1",
        "gen_ai.usage.input_tokens": tokens,
        "gen_ai.usage.output_tokens": output,
        "team": team,
        **named,
        **more,
    }


def spans(calls: list[dict[str, Any]]) -> str:
    def value(told: Any) -> dict[str, str]:
        return {"intValue": str(told)} if isinstance(told, int) else {"stringValue": told}

    nano = int(AT.timestamp()) * 10**9
    return json.dumps({
        "resourceSpans": [{"scopeSpans": [{"scope": {"name": "lib"}, "spans": [
            {
                "traceId": f"{n + 1:032x}", "spanId": f"{n + 1:016x}", "name": "chat", "kind": 3,
                "startTimeUnixNano": str(nano), "endTimeUnixNano": str(nano + 10**9),
                "attributes": [{"key": k, "value": value(v)} for k, v in each.items()],
            }
            for n, each in enumerate(calls)
        ]}]}]
    })  # fmt: skip


def paid(
    folder: Path,
    capsys: Captured,
    lines: list[tuple[dict[str, str], Line]],
    calls: list[dict[str, Any]],
    *owners: str,
) -> dict[str | None, Decimal]:
    """What each team pays, after both doors and the built-in rules."""
    teams(*sorted({each["team"] for each in calls} | set(owners)))
    folder.mkdir(exist_ok=True)
    outcome = deliver(folder, text(*(line.as_row(seller) for seller, line in lines)))
    assert outcome.rows_rejected == 0
    (folder / "traces.json").write_text(spans(calls))
    call_command("import_traces", str(folder / "traces.json"), "--json")
    capsys.readouterr()
    allocate()
    return by_team()


def cost(**amounts: str) -> dict[str, Decimal]:
    return {name.replace("_", " "): Decimal(amount) for name, amount in amounts.items()}


M = 1_000_000
OWNED = {"Tags": '{"team": "owner"}'}


# ---------------------------------------------------------------- names


def test_new_models_go_to_who_called_them(tmp_path: Path, capsys: Captured) -> None:
    lines = [
        (OPENAI, Line("gpt-6-sol, input", "900.00", "100000000", columns=OWNED)),
        (OPENAI, Line("gpt-6-luna, input", "90.00", "300000000", columns=OWNED)),
        (OPENAI, Line("gpt-5.6-terra, input", "70.00", "10000000", columns=OWNED)),
        (OPENAI, Line("gpt-image-1.5, image output", "60.00", "2000000", columns=OWNED)),
    ]
    calls = [
        call("quant", "openai", "gpt-6-sol", 100 * M),
        call("help", "openai", "gpt-6-luna", 300 * M),
        call("legal", "openai", "gpt-5.6-terra", 10 * M),
        call("brand", "openai", "gpt-image-1.5", 0, 2 * M,
             **{"gen_ai.usage.image.output_tokens": 2 * M}),
    ]  # fmt: skip

    found = paid(tmp_path, capsys, lines, calls, "owner")

    assert found == cost(quant="900", help="90", legal="70", brand="60")


def test_a_model_that_nobody_knows_is_its_owners_or_nobodys(
    tmp_path: Path, capsys: Captured
) -> None:
    lines = [
        (OPENAI, Line("gpt-6-sol-max, input", "9.00", "1000000", columns=OWNED)),
        (OPENAI, Line("zephyrine-3, output", "7.00", "1000000")),
        (OPENAI, Line("gpt-6-sol, input", "5.00", "1000000")),
    ]

    found = paid(tmp_path, capsys, lines, [call("a", "openai", "gpt-6-sol", M)], "owner")

    assert found == cost(a="5", owner="9", unknown_wording="7")


def test_a_name_that_calls_have_is_known_whatever_it_is(tmp_path: Path, capsys: Captured) -> None:
    lines = [(OPENAI, Line("acme-output-router 7b, output", "9.00", "1000000"))]

    found = paid(tmp_path, capsys, lines, [call("a", "openai", "acme-output-router-7b", 0, M)])

    assert found == cost(a="9")


def test_azures_meters(tmp_path: Path, capsys: Captured) -> None:
    def meter(words: str, cost: str, quantity: str) -> tuple[dict[str, str], Line]:
        return AZURE, Line(words, cost, quantity, "Units", {"SkuMeter": words})

    lines = [
        meter("5 mini pp Inp Gl 1M Tokens", "10.00", "20000000"),
        meter("5 mini pp Opt Gl 1M Tokens", "30.00", "15000000"),
        meter("5.1 codex opt Gl 1M Tokens", "100.00", "10000000"),
        meter("gpt-4o-mini-0718-Inp-glbl Tokens", "2.00", "13000000"),
        meter("gpt-4o-mini-0718-FT-Inp-glbl Tokens", "50.00", "300000000"),
        meter("gpt 4.1 cd Inp Gl 1M Tokens", "7.00", "300000000"),
    ]
    azure = "azure.ai.openai"
    tuned = "gpt-4o-mini-2024-07-18.ft-77aa10bb20cc30dd"
    calls = [
        call("help", azure, "gpt-5-mini", 20 * M, 15 * M),
        call("dev", azure, "gpt-5.1-codex", 1000, 10 * M),
        call("help", azure, "chat", 13 * M, **{"gen_ai.response.model": "gpt-4o-mini-2024-07-18"}),
        call("claims", azure, "claims", 300 * M, **{"gen_ai.response.model": tuned}),
        call("cached", azure, "gpt-4.1", 2 * M, **{"gen_ai.usage.cache_read.input_tokens": 2 * M}),
    ]

    assert paid(tmp_path, capsys, lines, calls) == cost(
        help="42", dev="100", claims="50", cached="7"
    )


def test_a_word_in_a_name_is_no_class(tmp_path: Path, capsys: Captured) -> None:
    lines = [
        (XAI, Line("grok-4-fast-reasoning, input tokens", "4.00", "20000000")),
        (XAI, Line("grok-4-fast-reasoning, output tokens", "1.00", "2000000")),
    ]
    reasoning = "gen_ai.usage.reasoning.output_tokens"
    calls = [
        call("research", "x_ai", "grok-4-fast-reasoning", 19 * M, 100_000, **{reasoning: 50_000}),
        call("math", "x_ai", "grok-4-fast-reasoning", M, 1_900_000, **{reasoning: 1_800_000}),
    ]

    assert paid(tmp_path, capsys, lines, calls) == cost(research="3.85", math="1.15")


def test_a_window_asked_for_is_no_other_model(tmp_path: Path, capsys: Captured) -> None:
    lines = [(ANTHROPIC, Line("Claude Opus 4.7 Usage - Input Tokens", "50.00", "10000000"))]
    calls = [
        call("platform", "anthropic", "claude-opus-4-7[1m]", 9 * M),
        call("search", "anthropic", "claude-opus-4-7", M),
    ]

    assert paid(tmp_path, capsys, lines, calls) == cost(platform="45", search="5")


def test_what_the_bill_says_outright_comes_first(tmp_path: Path, capsys: Captured) -> None:
    def priced(words: str, amount: str, **details: str) -> tuple[dict[str, str], Line]:
        told = json.dumps({"ModelDeveloper": "OpenAI", **details})
        columns = {"SkuMeter": words, "SkuPriceDetails": told}
        return OPENAI, Line(words, amount, "2", "1000000 Tokens", columns)

    five, mini = "gpt-5-2025-08-07", "gpt-5-mini-2025-08-07"
    lines = [
        priced("Input Tokens", "12.50", ModelId=five, TokenDirection="Input",
               TokenCacheAction="Uncached"),
        priced("Cache Read Input Tokens", "1.25", ModelId=five, TokenDirection="Input",
               TokenCacheAction="Read"),
        priced("Output Tokens", "20.00", ModelId=five, TokenDirection="Output"),
        priced("Output Tokens", "4.00", ModelId=mini, TokenDirection="Output"),
    ]  # fmt: skip
    read: dict[str, Any] = {"gen_ai.usage.cache_read.input_tokens": 10 * M}
    calls = [
        call("a", "openai", five, 20 * M, 2 * M, **read),
        call("b", "openai", mini, 20 * M, 2 * M, **read),
    ]

    assert paid(tmp_path, capsys, lines, calls) == cost(a="33.75", b="4")


def test_a_fee_is_about_no_model_and_goes_to_all_who_call(tmp_path: Path, capsys: Captured) -> None:
    lines = [
        (OPENAI, Line("Platform fee", "8.00", "1", "Months")),
        (OPENAI, Line("Platform fee for search", "4.00", "1", "Months", OWNED)),
    ]
    calls = [call("a", "openai", "gpt-4o", 3 * M), call("b", "openai", "gpt-4o", M)]

    assert paid(tmp_path, capsys, lines, calls, "owner") == cost(a="6", b="2", owner="4")


# ---------------------------------------------------------------- units and coverage


BEDROCK = {
    "ProviderName": "AWS",
    "PublisherName": "Anthropic",
    "ServiceName": "Claude Sonnet 4.5 (Amazon Bedrock Edition)",
}


def test_number_words_stand_anywhere_in_a_unit(tmp_path: Path, capsys: Captured) -> None:
    def million(words: str, meter: str, amount: str, count: str) -> tuple[dict[str, str], Line]:
        text = f"AWS Marketplace software usage|eu-central-1|{words}"
        return BEDROCK, Line(text, amount, count, words, {"SkuMeter": meter})

    lines = [
        million("Million Input Tokens", "EUC1-MP:EUC1_InputTokenCount-Units", "3.00", "1"),
        million("Million Batch Input Tokens", "EUC1-MP:EUC1_InputTokenCount_Batch-Units",
                "6.00", "4"),
    ]  # fmt: skip
    model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"

    found = paid(tmp_path, capsys, lines, [call("chatbot", "aws.bedrock", model, 100_000)])

    assert found == cost(chatbot="0.3", untraced="8.7")


def test_tokens_of_an_unknown_unit_are_told_by_list_cost(tmp_path: Path, capsys: Captured) -> None:
    ensure_prices()
    line = Line("Gemini 2.5 Flash Text Input - Predictions", "300.00", "1000000000", "count", OWNED)

    found = paid(
        tmp_path, capsys, [(VERTEX, line)],
        [call("mail", "gcp.vertex_ai", "gemini-2.5-flash", 10 * M, 1)], "owner",
    )  # fmt: skip

    assert found == cost(mail="3", owner="297")
    group = LedgerGroup.objects.get()
    assert (group.coverage, group.note) == (Decimal("0.01"), "untraced to owner; coverage derived")


def test_what_a_provider_reports_counts_as_billed(tmp_path: Path, capsys: Captured) -> None:
    ProviderUsage.objects.create(
        day=AT.date(), provider="openai", project="p-1", model="gpt-4o", is_batch=False,
        input_uncached=Decimal(4 * M),
    )  # fmt: skip
    line = Line("gpt-4o, input", "8.00", "1", "Units", OWNED)

    found = paid(tmp_path, capsys, [(OPENAI, line)], [call("a", "openai", "gpt-4o", M)], "owner")

    assert found == cost(a="2", owner="6")


def test_with_nothing_known_the_line_is_split_and_nobody_is_called_attributed(
    tmp_path: Path, capsys: Captured
) -> None:
    line = Line("acme-7, input", "8.00", "1", "Units", OWNED)

    found = paid(tmp_path, capsys, [(OPENAI, line)], [call("a", "openai", "acme-7", M)], "owner")

    assert found == cost(a="8")
    assert {share.rung for share in shares()} == {5}
    assert LedgerGroup.objects.get().note == "unknown coverage"


def test_more_than_three_times_of_what_is_billed_is_a_finding(
    tmp_path: Path, capsys: Captured
) -> None:
    line = Line("gpt-4o, input", "8.00", str(M))

    paid(tmp_path, capsys, [(OPENAI, line)], [call("a", "openai", "gpt-4o", 4 * M)])

    assert LedgerGroup.objects.get().note == "over-traced beyond 3x"


# ---------------------------------------------------------------- sellers


@pytest.mark.parametrize("service", [GEMINI, VERTEX])
def test_google_has_many_names_and_the_bill_says_which_door(
    tmp_path: Path, capsys: Captured, service: dict[str, str]
) -> None:
    words = "Generate content input token count gemini 2.5 pro short input text"
    model, is_gemini = "gemini-2.5-pro", service is GEMINI
    own = "google-gla" if is_gemini else "vertex_ai"
    calls = [
        call("own", own, model, 6 * M),
        call("library", "gcp.gen_ai", model, 6 * M),
        call("old", "google", f"models/{model}", 6 * M),
        call("vercel", "google.generative-ai", model, 6 * M),
    ]

    found = paid(tmp_path, capsys, [(service, Line(words, "30.00", "24000000"))], calls)

    assert found == cost(own="7.5", library="7.5", old="7.5", vercel="7.5")


def test_calls_of_a_framework_fill_what_the_sellers_own_calls_leave(
    tmp_path: Path, capsys: Captured
) -> None:
    model, bedrock = "claude-sonnet-4-5", {**BEDROCK, "ServiceName": "Amazon Bedrock"}
    lines = [
        (ANTHROPIC, Line("Claude Sonnet 4.5 Usage - Input Tokens", "30.00", str(3 * M))),
        (bedrock, Line("USE1-Claude4.5Sonnet-input-tokens", "10.00", str(M))),
    ]
    calls = [
        call("direct", "anthropic", model, M),
        call("cloud", "aws.bedrock", f"us.anthropic.{model}-20250929-v1:0", M),
        call("agents", "strands-agents", model, 2 * M),
    ]

    found = paid(tmp_path, capsys, lines, calls)

    assert found == cost(direct="10", cloud="10", agents="20")
    assert set(LedgerGroup.objects.values_list("widened", flat=True)) == {"provider", None}


def test_a_seller_without_a_bill_is_traced_on_the_only_other_ones(
    tmp_path: Path, capsys: Captured
) -> None:
    lines = [(AZURE, Line("gpt-4o-0806-Inp-glbl Tokens", "10.00", str(2 * M)))]
    calls = [
        call("cloud", "azure.ai.openai", "gpt-4o", M),
        call("direct", "openai", "gpt-4o", 4 * M),
        call("other", "anthropic", "claude-sonnet-4-5", 4 * M),
    ]

    assert paid(tmp_path, capsys, lines, calls) == cost(cloud="5", direct="5")
