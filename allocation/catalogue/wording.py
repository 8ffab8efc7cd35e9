"""What a FOCUS row says about a model call: provider, project, model, token class, tier, and how
its quantity converts to tokens. Pure.

An organisation's own entries (allocation.catalogue.own_entries) come as a value and are asked
before the built-in wording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import re2  # patterns of entries are written by users: matching must be linear in time

from allocation.catalogue.canonical import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CLOUD_NAMES,
    INPUT,
    INPUT_AUDIO,
    INPUT_IMAGE,
    OUTPUT,
    OUTPUT_AUDIO,
    OUTPUT_IMAGE,
    PROVIDER_NAMES,
    REASONING,
    canonical_model,
    canonical_provider,
)
from allocation.values.money import plain
from allocation.values.names import quoted

# Which side's wording an entry of the organisation's own is about.
BILL, TRACE = "bill", "trace"
TIERS = ("standard", "batch", "priority", "flex", "provisioned")


class Entry(NamedTuple):
    """What some wording means. `pattern` is RE2 over lower-case text; None in what it means: as the
    built-in wording has it.
    """

    side: str
    seen_provider: str | None  # only where the provider, as normalised, is this one; None: any
    pattern: str
    provider: str | None = None
    model: str | None = None
    token_class: str | None = None
    tier: str | None = None


Entries = tuple[Entry, ...]


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """The RE2 pattern, since people write it; raises ValueError for text that is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = (error.args[0] if error.args else b"").decode()
        raise ValueError(f"{quoted(pattern)} is no RE2 pattern: {reason}") from None


def meaning(entries: Entries, side: str, provider: str | None, text: str) -> Entry | None:
    """The first entry of the side that knows this lower-case wording."""
    for entry in entries:
        if (
            entry.side == side
            and entry.seen_provider in (None, provider)
            and compiled(entry.pattern).search(text)
        ):
            return entry
    return None


@dataclass(frozen=True)
class BillLine:
    """What a bill row is about. A model call's line has `is_model_usage`; its token class is None
    where unnamed.
    """

    provider: str | None  # normalised; None where the bill names none
    project: str | None
    model: str | None
    token_class: str | None
    tier: str | None  # batch, priority, flex, provisioned; None is standard
    is_model_usage: bool
    is_gpu: bool
    tokens_per_consumed_unit: Decimal | None  # None: ConsumedQuantity does not convert to tokens
    tokens_per_pricing_unit: Decimal | None
    # RegionId, with "global" behind it where a global inference profile answered.
    region: str | None = None
    # A step of a free or volume tier: its price says nothing about who used it.
    is_tiered: bool = False
    is_hosting: bool = False  # keeps a model of one's own ready, called or not


_UNIT = re.compile(
    r"^(?:(?P<count>\d[\d,]*(?:\.\d+)?)\s*(?P<scale>k|m|b|thousand|million|billion)?\s*)?"
    r"(?:tokens?|[a-z ]*tokens?)$"
)
_UNIT_SCALES = {
    "k": 10**3,
    "thousand": 10**3,
    "m": 10**6,
    "million": 10**6,
    "b": 10**9,
    "billion": 10**9,
}


@lru_cache(maxsize=1024)
def tokens_per_unit(unit: str | None) -> Decimal | None:
    """How many tokens one unit is: "Tokens" 1, "1K tokens" 1000, "1M Tokens" 1000000; None for any
    other unit.
    """
    if not unit:
        return None
    text = " ".join(unit.lower().replace("-", " ").replace("/", " ").split())
    text = re.sub(r"^per ", "", text)
    words = re.match(
        r"^(?P<scale>k|m|thousand|million|thousands of|millions of) ?(?P<rest>tokens?)$", text
    )
    if words:
        text = f"1 {words['scale'].removesuffix('s of')} tokens"
    found = _UNIT.match(text)
    if not found:
        return None
    count = Decimal((found["count"] or "1").replace(",", ""))
    # Equal numbers are written alike: split keys are known by how they are written.
    return Decimal(plain(count * _UNIT_SCALES.get(found["scale"] or "", 1)))


# Class wording, most specific first. Searched in the text that is left when the model's name is
# taken out.
_CLASS_WORDING: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"cache[- ]?(?:write|creation|storage)[^,]*1[- ]?h|1[- ]?h(?:our|r)?[- ]cache[- ]?write"
        ),
        CACHE_WRITE_1H,
    ),
    (
        re.compile(
            r"cache[- ]?(?:write|creation)[^,]*5[- ]?m|5[- ]?m(?:in(?:ute)?s?)?[- ]cache[- ]?write"
        ),
        CACHE_WRITE_5M,
    ),
    (re.compile(r"cache[- ]?(?:write|creation)|prompt caching write|write[- ]cache"), CACHE_WRITE),
    (
        re.compile(
            r"cache[- ]?(?:read|hit)|cached|prompt caching read|read[- ]cache|\bcchd\b|caching"
        ),
        CACHE_READ,
    ),
    (
        re.compile(r"audio[- ](?:input|inp?)\b|\b(?:input|inp?)[- ]audio|\baud[- ]inp?\b"),
        INPUT_AUDIO,
    ),
    (
        re.compile(r"audio[- ](?:output|outp?)\b|\b(?:output|outp?)[- ]audio|\baud[- ]outp?\b"),
        OUTPUT_AUDIO,
    ),
    (
        re.compile(r"image[- ](?:input|inp?)\b|\b(?:input|inp?)[- ]image|\bimg[- ]inp?\b"),
        INPUT_IMAGE,
    ),
    (
        re.compile(r"image[- ](?:output|outp?)\b|\b(?:output|outp?)[- ]image|\bimg[- ]outp?\b"),
        OUTPUT_IMAGE,
    ),
    (re.compile(r"reasoning|thinking tokens?"), REASONING),
    (re.compile(r"output|\bout(?:p|pt)?\b|completion|response tokens"), OUTPUT),
    (re.compile(r"input|\binp?\b|prompt|embedding"), INPUT),
)
_TIERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bbatch"), "batch"),
    (re.compile(r"provisioned|\bptu\b|model[- ]?units?"), "provisioned"),
    (re.compile(r"\bpriority\b"), "priority"),
    (re.compile(r"\bflex\b"), "flex"),
)
# Steps of a price that begins or falls with volume: "free tier", "first 1M tokens", "tier 2". Not
# "above 200K": that is the length of a prompt.
_TIERED = re.compile(
    r"\bfree[- ]tier\b|\bvolume[- ]tier|\btier[- ]?\d\b|\b(?:first|next) [\d.,]+ ?[kmb]?\b"
)
_HOSTING = re.compile(
    r"fine[- ]?tun\w* .*?hosting|\bhosting (?:hour|fee|unit)|hosting for ft:"
    r"|custom[- ]?model.*?(?:hosting|unit|storage)"
)
_GLOBAL_PROFILE = re.compile(
    r"cross[- ]region[- ]global|global[- ]?(?:cris|inference|endpoint)|\bglobal\.(?=[a-z0-9]+\.)"
)
_MODEL_WORDING: tuple[re.Pattern[str], ...] = (
    re.compile(r"ft:[\w.-]+(?::[\w:-]*)?"),
    re.compile(
        r"claude[- ]?(?:(?:opus|sonnet|haiku|instant)[- ]?\d+(?:[.-]\d{1,2}(?!\d))?"
        r"|\d+(?:[.-]\d{1,2})?[- ]?(?:opus|sonnet|haiku|instant))(?:-20\d{6})?"
    ),
    re.compile(
        r"gemini[- ]?\d(?:[.-]\d)?[- ](?:pro|flash[- ]lite|flash[- ]image|flash|ultra|nano)"
        r"(?:[- ]preview)?"
        r"|gemini[- ]embedding(?:[- ]\d{3})?"
    ),
    re.compile(r"text[- ]embedding[- ](?:3[- ](?:small|large)|ada(?:[- ]002)?|00\d)"),
    re.compile(
        r"(?:chat)?gpt[- ]?(?:35|3\.5|4\.1|4\.5|4o|4|5\.\d|5|image-1|oss)"
        r"(?:[- ](?:mini|nano|turbo|pro|codex|chat|audio|realtime|search|transcribe|tts|vision"
        r"|preview|120b|20b)\b)*"
        r"(?:[- ]20\d{2}-\d{2}-\d{2}|[- ]\d{4}(?!\d))?"
    ),
    re.compile(
        r"\bo[134](?:[- ](?:mini|pro|preview|deep-research))*"
        r"(?:-20\d{2}-\d{2}-\d{2}|[- ]\d{4}(?!\d))?(?=[ ,_-]|$)"
    ),
    re.compile(r"nova[- ]?(?:pro|lite|micro|premier|canvas|reel|sonic)"),
    re.compile(
        r"titan[- ]?embed(?:ding)?s?[\w-]*?v2-text"
        r"|titan[- ]?embed(?:ding)?s?(?:[- ]text)?(?:[- ]v\d)?"
    ),
    re.compile(
        r"llama[- ]?\d(?:[.-]\d(?=[-. ]))?[- ]?(?:\d+b|scout[\w-]*|maverick[\w-]*)(?:[- ]instruct)?"
    ),
    re.compile(r"mi[sx]tral[- ](?:large|medium|small|nemo|8x7b|7b)(?:[- ]\d{4})?"),
    re.compile(r"deepseek[- ](?:r1|v3(?:\.\d)?|chat|reasoner)"),
    re.compile(r"command[- ]r(?:[- ]?plus|\+)?"),
    re.compile(r"whisper(?:-1)?|dall-?e-?\d"),
)
_MODEL_SERVICES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"bedrock"), "aws.bedrock"),
    (re.compile(r"azure openai|openai service|foundry models|azure ai foundry"), "azure.ai.openai"),
    (re.compile(r"vertex|generative language"), "gcp.vertex_ai"),
    (re.compile(r"gemini api"), "gcp.gemini"),
)
_MODEL_SELLERS = frozenset(PROVIDER_NAMES.values()) - {"azure.ai.openai"} | {
    "cohere", "deepseek", "groq", "perplexity", "fireworks", "openrouter"
}  # fmt: skip
# Sellers whose models clouds resell; the row's service then names the cloud's door.
VENDORS_IN_CLOUDS = frozenset(
    {"anthropic", "openai", "cohere", "mistral_ai", "deepseek", "meta", "ai21 labs"}
)
_GPU_COLUMNS = ("sku_meter", "charge_description", "resource_type", "sku_id", "sku_price_details")
_GPU = re.compile(
    r"\bgpu|\b(?:p[2-6][a-z]*|g[4-7][a-z]*|trn\d[a-z]*|inf\d)\.(?:\d*x?large|metal|48xlarge)"
    r"|\b(?:a2|a3|a4|g2)-(?:high|mega|ultra|standard|edge)gpu?|\bnc\d+|\bnd\d+|\b(?:nvidia|tesla)\b"
    r"|\b(?:h100|h200|a100|b200|l40s?|l4|t4|v100)\b|standard_n[cdv]"
)


def _text(dimension: Mapping[str, Any], *names: str) -> str:
    return " | ".join(str(dimension[name]) for name in names if dimension.get(name)).lower()


WORDING = (
    "sku_meter",
    "charge_description",
    "sku_id",
    "resource_name",
    "resource_id",
    "service_name",
)


def bill_line(dimension: Mapping[str, Any], entries: Entries = ()) -> BillLine:
    """What the row's descriptive columns (snake_case names of ChargeDimension, missing ones
    allowed) say.

    The meter is asked before the SKU, the SKU before the description: wording closest to the price
    list wins. The first of `entries` that knows the wording comes before all of it.
    """
    wording = _text(dimension, *WORDING)
    provider = bill_provider(dimension)
    own = meaning(entries, BILL, provider, wording) if entries else None
    if own and own.provider:
        provider = own.provider
    model = token_class = tier = None
    if provider in _MODEL_SELLERS or provider == "azure.ai.openai":
        for name in WORDING:
            text = str(dimension.get(name) or "").lower()
            if not text:
                continue
            found_model, found_class, found_tier = read_wording(text)
            model = model or found_model
            token_class = token_class or found_class
            tier = tier or found_tier
            if model and token_class:
                break
        details = str(dimension.get("sku_price_details") or "").lower()
        tier = tier or ("batch" if '"batch"' in details else None)
    if own:
        model, token_class = own.model or model, own.token_class or token_class
        tier = (own.tier if own.tier != "standard" else None) if own.tier else tier
    category = dimension.get("charge_category") or "Usage"
    is_hosting = _HOSTING.search(wording) is not None
    is_usage = (
        category == "Usage"
        and bool(model or token_class)
        and tier != "provisioned"
        and not is_hosting
    )
    return BillLine(
        provider=provider,
        project=_project(dimension),
        model=model,
        token_class=token_class,
        tier=tier,
        is_model_usage=is_usage,
        is_gpu=_GPU.search(_text(dimension, *_GPU_COLUMNS)) is not None,
        tokens_per_consumed_unit=tokens_per_unit(dimension.get("consumed_unit")),
        tokens_per_pricing_unit=tokens_per_unit(dimension.get("pricing_unit")),
        region=_region(dimension, wording),
        is_tiered=_TIERED.search(wording) is not None,
        is_hosting=is_hosting,
    )


def _region(dimension: Mapping[str, Any], wording: str) -> str | None:
    region = dimension.get("region_id")
    return (
        region_name(str(region), is_global=_GLOBAL_PROFILE.search(wording) is not None)
        if region
        else None
    )


def region_name(region: str, *, is_global: bool) -> str:
    """One name for a region on both sides; apart from it what a global inference profile answered
    there.
    """
    return region.strip().lower() + (" global" if is_global else "")


def bill_provider(dimension: Mapping[str, Any]) -> str | None:
    """Who answered the call: the model service of a cloud where the row is about it, else the named
    provider.

    A vendor's model that a cloud sells through its marketplace is called at the cloud's door, which
    the service names.
    """
    service = _text(dimension, "service_name", "service_subcategory")
    named = (
        dimension.get("provider_name")
        or dimension.get("service_provider_name")
        or dimension.get("publisher_name")
    )
    cloud = CLOUD_NAMES.get(" ".join(str(named).lower().split())) if named else None
    if named and cloud is None:
        own = canonical_provider(str(named))
        if own not in CLOUD_NAMES.values():
            return _door(service) or own if own in VENDORS_IN_CLOUDS else own
    if door := _door(service):
        return door
    if (
        cloud == "azure"
        and re.search(r"cognitive services|azure ai", service)
        and "gpt" in _text(dimension, "sku_meter", "charge_description")
    ):
        return "azure.ai.openai"
    return cloud


def _door(service: str) -> str | None:
    return next(
        (provider for pattern, provider in _MODEL_SERVICES if pattern.search(service)), None
    )


def _project(dimension: Mapping[str, Any]) -> str | None:
    return dimension.get("sub_account_id") or None


@lru_cache(maxsize=65536)
def read_wording(text: str) -> tuple[str | None, str | None, str | None]:
    """(model, token class, tier) that a lower-case meter, SKU or description names; each None where
    it does not.
    """
    words = re.sub(r"^[a-z]{3,4}\d-", "", text)  # Bedrock's region code: USE1-, EUC1-
    model = None
    for pattern in _MODEL_WORDING:
        found = pattern.search(words)
        if found:
            model = canonical_model(found.group().strip(" -"))
            words = words[: found.start()] + " " + words[found.end() :]
            break
    tier = next((tier for pattern, tier in _TIERS if pattern.search(words)), None)
    token_class = next(
        (name for pattern, name in _CLASS_WORDING if pattern.search(words.replace("_", " "))), None
    )
    if token_class is None and model and "embed" in model:
        token_class = INPUT
    return model, token_class, tier
