"""Pages of two providers' usage APIs, as they answer: OpenAI's completions usage and Anthropic's
messages report.

The first counts cached tokens and every modality inside its input, the second tells them apart;
both become exclusive token classes here. A file is one page, a list of pages, or one page a
line; all pages of an answer belong in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from allocation.catalogue.canonical import TOKEN_COLUMNS
from portal.errors import Refused
from portal.ingest.drivers.table import LONGEST_TEXT, Problems, decoded

QUANTITIES = ("requests", *TOKEN_COLUMNS)
IDENTITY = ("project", "api_key", "user", "workspace")
APART = ("service_tier", "context_window", "inference_geo", "speed")
MOST_TOKENS = 2**53
DEFAULT_WORKSPACE = "default"
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Reported:
    """One row as the provider tells it: `model` in its own words, `moment` and `apart` what else
    tells rows apart.
    """

    line: int
    place: str | None  # in a JSON file
    moment: str
    day: date
    identity: dict[str, str | None]
    model: str | None
    is_batch: bool
    quantities: dict[str, Decimal]
    apart: tuple[str, ...] = ()

    @property
    def group(self) -> tuple[Any, ...]:
        return (self.moment, *self.identity.values(), self.model, self.is_batch, *self.apart)


class Wrong(ValueError):
    """What is wrong with one result, and in which field."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(reason)
        self.name, self.value, self.reason = name, value, reason


def page_records(content: bytes, problems: Problems) -> list[Reported]:
    """Every result of every page; raises Refused where the pages are no report, or not all of
    one.
    """
    pages = list(pages_of(decoded(content)))
    check_complete(pages)
    found = [record for line, page in pages for record in records_of(line, page, problems)]
    # Grouped by it, so a missing one is the default one.
    if any(record.identity["workspace"] for record in found):
        for record in found:
            record.identity["workspace"] = record.identity["workspace"] or DEFAULT_WORKSPACE
    return found


def pages_of(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, page); raises Refused for what is no JSON."""
    try:
        whole = parsed(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield number, as_page(parsed(line), number)
                except ValueError as error:
                    raise Refused(
                        f"line {number}: this is no JSON ({error}); nothing was replaced"
                    ) from None
        return
    for page in whole if isinstance(whole, list) else [whole]:
        yield 1, as_page(page, 1)


def parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=no_constant)
    except (RecursionError, ArithmeticError) as error:
        raise ValueError("nested too deeply, or a number that nothing counts") from error


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def as_page(found: Any, line: int) -> dict[str, Any]:
    if not isinstance(found, dict) or not isinstance(found.get("data"), list):
        raise Refused(
            f'line {line}: not a page of a usage report: it has no list "data". Nothing was '
            "replaced"
        )
    return found


def check_complete(pages: list[tuple[int, dict[str, Any]]]) -> None:
    """The days of a file are replaced, so a page that is missing would take usage away."""
    if pages and pages[-1][1].get("has_more"):
        raise Refused(
            "the last page says that more follow (has_more); put all pages in the file. Nothing "
            "was replaced"
        )


def records_of(line: int, page: Mapping[str, Any], problems: Problems) -> Iterator[Reported]:
    for number, bucket in enumerate(page["data"]):
        place = f"data[{number}]"
        results = bucket.get("results") if isinstance(bucket, dict) else None
        if not isinstance(results, list):
            problems.add(line, place, None, 'not a bucket: it has no list "results"')
            continue
        for position, result in enumerate(results):
            here = f"{place}.results[{position}]"
            try:
                if not isinstance(result, dict):
                    raise Wrong("", result, "not an object")
                yield record(line, here, bucket, result)
            except Wrong as wrong:
                problems.add(line, f"{here}.{wrong.name}".rstrip("."), wrong.value, wrong.reason)


def record(line: int, place: str, bucket: Mapping[str, Any], result: Mapping[str, Any]) -> Reported:
    start, end = bucket_times(bucket)
    if end - start > ONE_DAY or start.date() != (end - timedelta(microseconds=1)).date():
        raise Wrong(
            "",
            start.isoformat(),
            "the bucket is not within one UTC day; ask for buckets of a day or an hour",
        )
    is_openai = "input_tokens" in result
    tokens_of: Callable[[Mapping[str, Any]], dict[str, Decimal]] = (
        openai_tokens if is_openai else anthropic_tokens
    )
    tier = text_of(result, "service_tier")
    return Reported(
        line=line,
        place=place,
        moment=start.isoformat(),
        day=start.date(),
        identity={
            "project": text_of(result, "project_id"),
            "api_key": text_of(result, "api_key_id"),
            "user": text_of(result, "user_id", "account_id", "service_account_id"),
            "workspace": text_of(result, "workspace_id"),
        },
        model=text_of(result, "model"),
        is_batch=result.get("batch") is True or tier == "batch",
        quantities=tokens_of(result),
        apart=tuple(
            text_of(result, name) or ""
            for name in ("service_tier", "context_window", "inference_geo", "speed")
        ),
    )


def bucket_times(bucket: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Unix seconds (OpenAI) or RFC 3339 (Anthropic)."""
    try:
        if "start_time" in bucket:
            start, end = (
                datetime.fromtimestamp(int(bucket[name]), UTC)
                for name in ("start_time", "end_time")
            )
        else:
            start, end = (
                datetime.fromisoformat(bucket[name].replace("Z", "+00:00")).astimezone(UTC)
                for name in ("starting_at", "ending_at")
            )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError):
        raise Wrong("", None, "the bucket has no start and end") from None
    if end <= start:
        raise Wrong("", start.isoformat(), "the bucket ends before it starts")
    return start, end


def openai_tokens(result: Mapping[str, Any]) -> dict[str, Decimal]:
    """`input_tokens` holds cached and written tokens and all modalities; a part that is not told is
    none.
    """
    read, written = (
        tokens(result, "input_cached_tokens"),
        tokens(result, "input_cache_write_tokens"),
    )
    audio, image = tokens(result, "input_audio_tokens"), tokens(result, "input_image_tokens")
    read_audio = tokens(result, "input_cached_audio_tokens")
    read_image = tokens(result, "input_cached_image_tokens")
    audio_out, image_out = (
        tokens(result, "output_audio_tokens"),
        tokens(result, "output_image_tokens"),
    )
    whole = tokens(result, "input_tokens")
    found = {
        "requests": tokens(result, "num_model_requests"),
        "input_audio": audio - read_audio,
        "input_image": image - read_image,
        "cache_read": read,
        "cache_write_5m": written,
        "input_uncached": whole - read - written - (audio - read_audio) - (image - read_image),
        "output_text": tokens(result, "output_tokens") - audio_out - image_out,
        "output_audio": audio_out,
        "output_image": image_out,
    }
    for name, amount in found.items():
        if amount < 0:
            side = "output_tokens" if name.startswith("output") else "input_tokens"
            raise Wrong(
                side,
                result.get(side),
                "less than the cached, written, audio and image tokens it must hold",
            )
    return every_quantity(found)


def anthropic_tokens(result: Mapping[str, Any]) -> dict[str, Decimal]:
    """Told apart already; the two kinds of cache writes nested or flat. Requests are not told."""
    if "uncached_input_tokens" not in result:
        raise Wrong(
            "",
            None,
            "neither input_tokens nor uncached_input_tokens: not a row of a known usage report",
        )
    nested = result.get("cache_creation")
    if nested is not None and not isinstance(nested, dict):
        raise Wrong("cache_creation", nested, "not an object")
    nested = nested or {}
    short = tokens(nested, "ephemeral_5m_input_tokens") or tokens(
        result, "cache_creation_5m_input_tokens"
    )
    long = tokens(nested, "ephemeral_1h_input_tokens") or tokens(
        result, "cache_creation_1h_input_tokens"
    )
    if not short and not long:
        # Not told apart: the usual five minutes.
        short = tokens(result, "cache_creation_input_tokens")
    return every_quantity(
        {
            "input_uncached": tokens(result, "uncached_input_tokens"),
            "cache_read": tokens(result, "cache_read_input_tokens"),
            "cache_write_5m": short,
            "cache_write_1h": long,
            "output_text": tokens(result, "output_tokens"),
        }
    )


def every_quantity(found: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {name: found.get(name, Decimal(0)) for name in QUANTITIES}


def tokens(result: Mapping[str, Any], name: str) -> Decimal:
    """A whole number from 0 to 2^53; missing is none."""
    value = result.get(name)
    if value is None:
        return Decimal(0)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Wrong(name, value, "not a number")
    if not 0 <= value <= MOST_TOKENS:  # before int(), which would write 1e999999 out
        raise Wrong(name, value, "negative" if value < 0 else "more than 2^53")
    if value != int(value):
        raise Wrong(name, value, "not a whole number")
    return Decimal(int(value))


def text_of(result: Mapping[str, Any], *names: str) -> str | None:
    """The first of these that is told."""
    for name in names:
        value = result.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
            raise Wrong(name, value, "not a plain text")
        return value
    return None
