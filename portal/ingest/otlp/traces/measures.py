"""The numbers beside tokens: sampling weight, time to the first chunk, what the client says a call
cost.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any

from portal.ingest.otlp.traces.attributes import Vocabulary
from portal.ingest.otlp.traces.fields import Fields, as_list, parsed, shorten

LARGEST_COUNT = 2**56
LONGEST_NUMBER = 60
LONGEST_STREAM = 3600  # seconds
ONE = Decimal(1)
PLACES = Decimal("1e-12")


def adjusted_count(trace_state: str, fields: Fields, words: Vocabulary) -> Decimal:
    """How many calls the span stands for: from the tracestate's threshold, else a rate named by
    span or setting.
    """
    if trace_state and "ot=" in trace_state:
        weight = weight_of_trace_state(trace_state)
        if weight is not None:
            return weight
    rate = fields.get("sample_rate")
    if type(rate) is int and 1 <= rate <= LARGEST_COUNT:
        return Decimal(rate)
    share = fields.get("sample_probability")
    if share is None and words.sampling_rates:
        share = words.sampling_rates.get(str(fields.get("service")))
    return weight_of_share(str(share)) if share is not None else ONE


@lru_cache(maxsize=4096)
def weight_of_trace_state(trace_state: str) -> Decimal | None:
    """2^56 / (2^56 - threshold), by the specification "TraceState: Probability Sampling" (th: 1 to
    14 hex digits).
    """
    for member in trace_state.split(","):
        vendor, _, value = member.strip().partition("=")
        if vendor != "ot":
            continue
        for part in value.split(";"):
            name, _, digits = part.partition(":")
            if name == "th" and 1 <= len(digits) <= 14:
                try:
                    threshold = int(digits.ljust(14, "0"), 16)
                except ValueError:
                    return None
                return in_places(Decimal(LARGEST_COUNT) / (LARGEST_COUNT - threshold))
    return None


@lru_cache(maxsize=4096)
def weight_of_share(share: str) -> Decimal:
    try:
        value = Decimal(share)
    except ArithmeticError:
        return ONE
    if not value.is_finite() or not Decimal("1e-9") <= value <= 1:
        return ONE
    return in_places(1 / value)


def in_places(value: Decimal) -> Decimal:
    """The number at twelve places, without trailing zeros: the same text every time."""
    whole = value.to_integral_value()
    return whole if whole == value else value.quantize(PLACES)


def time_to_first_chunk(fields: Fields, duration_us: int) -> int | None:
    """In microseconds. A number of seconds longer than the call itself is one of milliseconds."""
    for field, factor in (("ttft_seconds", 1_000_000), ("ttft_ms", 1_000)):
        value = fields.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            found = round(value * factor)
            return found // 1000 if 1000 * duration_us >= found > duration_us > 0 else found
    return None


def stream_time(fields: Fields) -> int:
    """Microseconds from a stream's begin to the log that tells of it; 0 where it is not told."""
    seconds = number(fields.get("stream_seconds"))
    if seconds is None or not 0 <= seconds <= LONGEST_STREAM:
        return 0
    return int(seconds * 1_000_000)


def finish_reason(fields: Fields, cut: list[str]) -> str | None:
    value = fields.get("finish_reason")
    if value is None:
        return None
    reasons = as_list(value)
    return shorten(",".join(sorted({str(reason) for reason in reasons})), "finish_reason", cut)


def client_cost(fields: Fields) -> Decimal | None:
    """What the client says the call cost. Kept to compare, never used as a cost."""
    stated = number(fields.get("client_cost"))
    if stated is not None:
        return stated
    details = parsed(fields.get("cost_details")) if "cost_details" in fields else None
    if isinstance(details, dict) and "total" in details:
        return number(details["total"])
    parts = [number(fields.get("client_cost_input")), number(fields.get("client_cost_output"))]
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if known else None


def number(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if len(str(value)) > LONGEST_NUMBER:
        return None
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
    except ArithmeticError:
        return None
    return (
        amount if amount.is_finite() and abs(amount) < 10**9 and amount.adjusted() > -30 else None
    )
