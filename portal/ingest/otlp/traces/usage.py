"""Token counts of one call, from whatever its emitter wrote, as exclusive buckets that add up to
the total.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_TOKENS = 2**53

COUNTS = (
    "input",
    "output",
    "total",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "cache_write_5m",
    "reasoning",
    "input_audio",
    "input_image",
    "cache_read_audio",
    "cache_read_image",
    "output_audio",
    "output_image",
)


class BadTokenCount(ValueError):
    """A token count that is no whole number from 0 to 2^53."""


class Buckets(NamedTuple):
    """Exclusive counts; their sum is the call's total. In the order of UsageMeasures' token
    columns.
    """

    input_uncached: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output_text: int = 0
    reasoning: int = 0
    input_audio: int = 0
    input_image: int = 0
    output_audio: int = 0
    output_image: int = 0

    @property
    def input_total(self) -> int:
        return (
            self.input_uncached
            + self.cache_read
            + self.cache_write_5m
            + self.cache_write_1h
            + self.input_audio
            + self.input_image
        )

    @property
    def output_total(self) -> int:
        return self.output_text + self.reasoning + self.output_audio + self.output_image


NOTHING = Buckets()


def buckets(fields: Mapping[str, Any]) -> tuple[Buckets, str | None]:
    """The buckets and how they were read; (all zero, None) where the span carries no usage.

    `fields` holds some of COUNTS as delivered. The conventions say that input includes cache and
    output includes reasoning, but Anthropic, Bedrock and Gemini answer otherwise and emitters copy
    them. Read as exclusive where the parts are larger than the whole, or where only that agrees
    with the total.
    """
    counts = {name: fields[name] for name in COUNTS if name in fields}
    if not counts:
        return NOTHING, None
    check(counts)
    cached = cached_parts(counts)
    total_in, total_out, shape = inclusive_sides(counts, sum(cached))
    result = apart(counts, cached, total_in, total_out)
    if sum(result) > MOST_TOKENS:
        raise BadTokenCount(f"token counts add up to {sum(result)}, more than 2^53")
    return result, shape


def check(counts: Mapping[str, Any]) -> None:
    """Raises BadTokenCount. A bool is an int, so the exact type counts."""
    for name, value in counts.items():
        if type(value) is not int or not 0 <= value <= MOST_TOKENS:
            raise BadTokenCount(
                f"{name} token count {value!r:.40} is not a whole number from 0 to 2^53"
            )


def cached_parts(counts: Mapping[str, int]) -> tuple[int, int, int]:
    """Tokens read from a cache, written for five minutes, and for an hour."""
    write_1h = counts.get("cache_write_1h", 0)
    write = max(counts.get("cache_write", 0) - write_1h, 0)
    return counts.get("cache_read", 0), counts.get("cache_write_5m", write), write_1h


def inclusive_sides(counts: Mapping[str, int], cached: int) -> tuple[int, int, str]:
    """All input, all output, and how they were told: each with the parts that it should hold."""
    shape = "inclusive"
    reasoning = counts.get("reasoning", 0)
    total_in, total_out, total = counts.get("input"), counts.get("output"), counts.get("total")
    if total is not None and (total_in is None or total_out is None):
        shape = "from_total"
        if total_in is None and total_out is None:
            total_in, total_out = total, 0
        elif total_in is None:
            total_in = max(total - (total_out or 0), 0)
        else:
            total_out = max(total - (total_in or 0), 0)
    total_in, total_out = total_in or 0, total_out or 0
    whole = total_in + cached + total_out
    is_exclusive = cached > total_in or total == whole
    if cached and (is_exclusive or (reasoning and total == whole + reasoning)):
        shape = "exclusive_inferred"
        total_in += cached
    if reasoning and (reasoning > total_out or total == total_in + total_out + reasoning):
        shape = "reasoning_exclusive_inferred" if shape == "inclusive" else shape
        total_out += reasoning
    return total_in, total_out, shape


def apart(
    counts: Mapping[str, int], cached: tuple[int, int, int], total_in: int, total_out: int
) -> Buckets:
    """The sides cut into buckets; a modality never takes more than there is."""
    get = counts.get
    cache_read, write_5m, write_1h = cached
    reasoning = get("reasoning", 0)
    fresh = total_in - cache_read - write_5m - write_1h
    audio = min(max(get("input_audio", 0) - get("cache_read_audio", 0), 0), fresh)
    image = min(max(get("input_image", 0) - get("cache_read_image", 0), 0), fresh - audio)
    spoken = total_out - reasoning
    audio_out = min(get("output_audio", 0), spoken)
    image_out = min(get("output_image", 0), spoken - audio_out)
    return Buckets(
        input_uncached=fresh - audio - image,
        cache_read=cache_read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        output_text=spoken - audio_out - image_out,
        reasoning=reasoning,
        input_audio=audio,
        input_image=image,
        output_audio=audio_out,
        output_image=image_out,
    )
