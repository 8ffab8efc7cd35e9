"""Token counts of one call, from whatever its emitter wrote, as exclusive buckets that add up to
the total.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_TOKENS = 2**53
LONGEST_COUNT = 24  # characters

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


# How the counts were read; `usage_shape` of a span.
INCLUSIVE, EXCLUSIVE, GUESSED = "inclusive", "exclusive", "exclusive_inferred"
FROM_TOTAL, REASONING_APART = "from_total", "reasoning_exclusive_inferred"
SHORT_OF_TOTAL = "short_of_total"  # the parts are less than the total that is stated beside them
UNREADABLE = "unreadable"  # no whole numbers from 0 to 2^53: usage that is missing


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


def buckets(fields: Mapping[str, Any], counts_are: str | None = None) -> tuple[Buckets, str | None]:
    """The buckets and how they were read; (all zero, None) where the span carries no usage, and
    (all zero, UNREADABLE) where what it carries is no count.

    `fields` holds some of COUNTS as delivered; `counts_are` says whether the input holds cache
    reads and writes, where emitter or names decide that. Otherwise the conventions say that it
    does, and that output includes reasoning; but Anthropic, Bedrock and Gemini answer otherwise
    and emitters copy them. Then it is read as exclusive where the parts are larger than the whole,
    or where only that agrees with the total.
    """
    told = {name: fields[name] for name in COUNTS if name in fields}
    if not told:
        return NOTHING, None
    counts = {name: count for name, value in told.items() if (count := readable(value)) is not None}
    if any(name in told and name not in counts for name in ("input", "output", "total")):
        return NOTHING, UNREADABLE
    cached = cached_parts(counts)
    total_in, total_out, shape = sides(counts, sum(cached), counts_are)
    result = apart(counts, cached, total_in, total_out)
    if sum(result) > MOST_TOKENS:
        return NOTHING, UNREADABLE
    if counts.get("total", 0) > 1.01 * sum(result) + 1:
        shape = SHORT_OF_TOTAL
    return result, shape


def readable(value: Any) -> int | None:
    """The count: a whole number from 0 to 2^53, also as a float or a text."""
    if isinstance(value, str) and len(value) <= LONGEST_COUNT:
        try:
            value = float(value) if "." in value else int(value)
        except ValueError:
            return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # A bool is an int, so the exact type counts.
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def cached_parts(counts: Mapping[str, int]) -> tuple[int, int, int]:
    """Tokens read from a cache, written for five minutes, and for an hour."""
    write_1h = counts.get("cache_write_1h", 0)
    write = max(counts.get("cache_write", 0) - write_1h, 0)
    return counts.get("cache_read", 0), counts.get("cache_write_5m", write), write_1h


def sides(counts: Mapping[str, int], cached: int, counts_are: str | None) -> tuple[int, int, str]:
    """All input, all output, and how they were told: each with the parts that it should hold."""
    total_in, total_out, shape = stated_sides(counts)
    reasoning, total = counts.get("reasoning", 0), counts.get("total")
    if counts_are == INCLUSIVE and cached <= total_in and reasoning <= total_out:
        return total_in, total_out, shape
    whole = total_in + cached + total_out
    is_exclusive = counts_are == EXCLUSIVE or cached > total_in or total == whole
    if cached and (is_exclusive or (reasoning and total == whole + reasoning)):
        shape = EXCLUSIVE if counts_are == EXCLUSIVE else GUESSED
        total_in += cached
    if reasoning and (reasoning > total_out or total == total_in + total_out + reasoning):
        shape = REASONING_APART if shape == INCLUSIVE else shape
        total_out += reasoning
    return total_in, total_out, shape


def stated_sides(counts: Mapping[str, int]) -> tuple[int, int, str]:
    """Input and output as stated, or as the total leaves them."""
    total_in, total_out, total = counts.get("input"), counts.get("output"), counts.get("total")
    if total is None or (total_in is not None and total_out is not None):
        return total_in or 0, total_out or 0, INCLUSIVE
    if total_in is None and total_out is None:
        return total, 0, FROM_TOTAL
    if total_in is None:
        return max(total - (total_out or 0), 0), total_out or 0, FROM_TOTAL
    return total_in, max(total - total_in, 0), FROM_TOTAL


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
