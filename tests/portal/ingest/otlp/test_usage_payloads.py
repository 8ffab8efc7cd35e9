"""Real answers of providers: token buckets and list prices against the published expectations
(docs/prices.md).
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from genai_prices.types import _providers_from_raw
from genai_prices.units import _get_registry

from allocation.catalogue.price_list import PriceList, list_price, packaged
from portal.ingest.otlp.traces.answers import counts_of_answer
from portal.ingest.otlp.traces.usage import Buckets, buckets

SHARED = Path(settings.BASE_DIR).parent / "shared" / "data"
PAYLOADS = SHARED / "llm_usage_payloads" / "usages.json.gz"
CATALOGUE = SHARED / "llm_price_catalogue" / "genai_prices.json.gz"
# The expectations name no date; most price changes are later.
EXPECTED_AT = datetime(2026, 8, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not PAYLOADS.exists(), reason=f"{PAYLOADS} is not there")


def entries() -> list[dict[str, Any]]:
    return list(json.loads(gzip.decompress(PAYLOADS.read_bytes())))


def usage_of(entry: dict[str, Any]) -> Buckets:
    body = entry["body"]
    counts = counts_of_answer(
        body.get("usage") or body.get("usageMetadata") or body.get("meta") or {}
    )
    return buckets(counts)[0]


def counted(usage: Buckets) -> dict[str, int]:
    """Our buckets in the words of the expectations, which count cache and reasoning into input and
    output.
    """
    return {
        "input_tokens": usage.input_total,
        "output_tokens": usage.output_total,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "output_reasoning_tokens": usage.reasoning,
    }


def cause_of_difference(
    entry: dict[str, Any], expected: dict[str, int], ours: dict[str, int]
) -> str:
    """Why the expectation counts otherwise; every cause lies in how its extractor reads this
    body.
    """
    usage = entry["body"].get("usage", {})
    differing = {name for name in ours if expected.get(name, 0) != ours[name]}
    if not differing:
        return "equal"
    if "billed_units" in usage:
        return "counts what was processed, not what is billed"
    if expected.get("output_tokens", 0) == ours["output_tokens"] + ours["output_reasoning_tokens"]:
        return "adds reasoning to an output that includes it"
    if "cache_read_input_tokens" in usage and expected.get("input_tokens") == usage["input_tokens"]:
        return "leaves the cache out of an answer that counts it apart"
    if all(expected.get(name, 0) == 0 for name in differing):
        return "reads fewer classes than the answer has"
    return "unexplained"


def test_every_answer_has_buckets_that_add_up_to_its_total() -> None:
    """Except where the answer's own parts don't: Gemini's OpenAI door leaves its thoughts out of
    completion_tokens.
    """
    others = []
    for entry in entries():
        body = entry["body"]
        usage = usage_of(entry)
        stated = (body.get("usage") or {}).get("total_tokens") or (
            body.get("usageMetadata") or {}
        ).get("totalTokenCount")
        assert min(usage) >= 0
        if stated and sum(usage) != stated:
            others.append((body.get("model"), stated - sum(usage)))

    assert Counter(model for model, _ in others) == {"gemini-2.5-pro-preview-05-06": 1}


def test_token_buckets_equal_the_expectations_but_for_known_causes() -> None:
    causes = Counter(
        cause_of_difference(entry, extracted["usage"], counted(usage_of(entry)))
        for entry in entries()
        for extracted in entry["extracted"]
    )

    assert causes == {
        "equal": 952,
        "reads fewer classes than the answer has": 372,
        "adds reasoning to an output that includes it": 82,
        "counts what was processed, not what is billed": 9,
        "leaves the cache out of an answer that counts it apart": 8,
    }


def priced_expectations() -> Iterator[tuple[Buckets, str, str | None, Decimal]]:
    """(usage, provider, model, expected USD) wherever the expectation counts the same billable
    tokens.
    """
    billable = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    for entry in entries():
        usage = usage_of(entry)
        ours = counted(usage)
        body = entry["body"]
        model = body.get("model") or body.get("modelVersion") or entry.get("model")
        for extracted in entry["extracted"]:
            if all(extracted["usage"].get(name, 0) == ours[name] for name in billable):
                for priced in extracted["extractors"]:
                    if "input_price" in priced:
                        expected = Decimal(priced["input_price"]) + Decimal(
                            priced.get("output_price", 0)
                        )
                        yield usage, priced["provider_id"], model, expected


def test_list_prices_equal_the_expectations_but_for_known_causes() -> None:
    pinned = packaged()
    its_own = PriceList(
        _providers_from_raw(json.loads(gzip.decompress(CATALOGUE.read_bytes())), _get_registry()),
        "own",
    )
    outcome: Counter[str] = Counter()

    for usage, provider, model, expected in priced_expectations():
        if list_price(usage._asdict(), provider, model, EXPECTED_AT, pinned) == expected:
            outcome["equal"] += 1
        elif equal_at_some_date(pinned, usage, provider, model, expected):
            outcome["equal at another date of the list"] += 1
        elif list_price(usage._asdict(), provider, model, EXPECTED_AT, its_own) == expected:
            outcome["equal by the payloads' own, older price list"] += 1
        else:
            outcome[f"unexplained: {provider} {model}"] += 1

    assert outcome == {
        "equal": 1796,
        "equal at another date of the list": 14,
        "equal by the payloads' own, older price list": 3,
    }


def equal_at_some_date(
    prices: PriceList, usage: Buckets, provider: str, model: str | None, expected: Decimal
) -> bool:
    key = prices.find(provider, model)
    lines = prices.lines_by_model[key] if key else []
    days = {line.valid_from for line in lines}
    times = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC) for day in days if day]
    times.append(datetime(2020, 1, 1, tzinfo=UTC))
    return any(list_price(usage._asdict(), provider, model, at, prices) == expected for at in times)
