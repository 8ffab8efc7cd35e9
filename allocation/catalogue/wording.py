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
from typing import Any

from allocation.catalogue.entries import BILL, UNIT, Entries, meaning
from allocation.catalogue.naming import (
    NOTHING_CALLED,
    CalledNames,
    Said,
    read_details,
    read_wording,
)
from allocation.catalogue.units import is_model_unit, tokens_per_unit
from allocation.catalogue.vocabulary import (
    CLOUD_NAMES,
    DATA,
    SELLERS,
    UNNAMED_DOORS,
    canonical_provider,
)
from allocation.values.money import plain


@dataclass(frozen=True)
class BillLine:
    """What a bill row is about. A model call's line has `is_model_usage`; its token class is None
    where unnamed.
    """

    provider: str | None  # normalised; None where the bill names none
    project: str | None
    model: str | None  # as the bill words it where it is not known; None: about no model
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
    is_known: bool = True  # false: nobody knows a model of this name


_TIERED = re.compile(DATA["tiered"])
_HOSTING = re.compile(DATA["hosting"])
_GLOBAL_PROFILE = re.compile(DATA["global_profile"])
_DOORS = tuple((re.compile(each["pattern"]), each["provider"]) for each in DATA["doors"])
# Sellers whose models clouds resell; the row's service then names the cloud's door.
VENDORS_IN_CLOUDS = frozenset(DATA["vendors_in_clouds"])
_GPU_COLUMNS = ("sku_meter", "charge_description", "resource_type", "sku_id", "sku_price_details")
_GPU = re.compile(
    r"\bgpu|\b(?:p[2-6][a-z]*|g[4-7][a-z]*|trn\d[a-z]*|inf\d)\.(?:\d*x?large|metal|48xlarge)"
    r"|\b(?:a2|a3|a4|g2)-(?:high|mega|ultra|standard|edge)gpu?|\bnc\d+|\bnd\d+|\b(?:nvidia|tesla)\b"
    r"|\b(?:h100|h200|a100|b200|l40s?|l4|t4|v100)\b|standard_n[cdv]"
)


def _text(dimension: Mapping[str, Any], *names: str) -> str:
    return " | ".join(str(dimension[name]) for name in names if dimension.get(name)).lower()


# What names a model, the most telling first. A name that nobody knows is taken from the first two
# kinds only: an id or a resource may be called anything.
WORDING = (
    "sku_meter",
    "sku_id",
    "charge_description",
    "resource_name",
    "resource_id",
    "service_name",
)
FREE_WORDING = ("sku_meter", "charge_description")


def wording_text(dimension: Mapping[str, Any]) -> str:
    """What an organisation's own entries are matched with."""
    return _text(dimension, *WORDING)


def bill_line(
    dimension: Mapping[str, Any], entries: Entries = (), called: CalledNames = NOTHING_CALLED
) -> BillLine:
    """What the row's descriptive columns (snake_case names of ChargeDimension, missing ones
    allowed) say.

    Properties that say it outright come before the meter, the meter before the SKU, the SKU before
    the description: wording closest to the price list wins. The first of `entries` that knows the
    wording comes before all of it. `called` are the names that calls of the month have.
    """
    wording = wording_text(dimension)
    provider = bill_provider(dimension)
    own = meaning(entries, BILL, provider, wording) if entries else None
    if own and own.provider:
        provider = own.provider
    said = Said()
    consumed, pricing = (
        unit_tokens(dimension.get(name), provider, entries)
        for name in ("consumed_unit", "pricing_unit")
    )
    unit = is_model_unit(dimension.get("consumed_unit"), dimension.get("pricing_unit"))
    if provider in SELLERS:
        said = read_details(str(dimension.get("sku_price_details") or ""))
        said = _read_columns(dimension, said, provider, called)
    if own:
        said = said.overruled(own.model, own.token_class, own.tier)
    category = dimension.get("charge_category") or "Usage"
    is_hosting = _HOSTING.search(wording) is not None
    is_about_model = said.is_known or said.token_class is not None or unit
    is_usage = (
        category == "Usage"
        and provider in SELLERS | {own.provider if own else None}
        and is_about_model
        and said.tier != "provisioned"
        and not is_hosting
    )
    return BillLine(
        provider=provider,
        project=_project(dimension),
        model=said.model if is_about_model else None,
        is_known=said.is_known or not is_about_model,
        token_class=said.token_class,
        tier=said.tier,
        is_model_usage=is_usage,
        is_gpu=_GPU.search(_text(dimension, *_GPU_COLUMNS)) is not None,
        tokens_per_consumed_unit=consumed,
        tokens_per_pricing_unit=pricing,
        region=_region(dimension, wording),
        is_tiered=_TIERED.search(wording) is not None,
        is_hosting=is_hosting,
    )


def unit_tokens(unit: str | None, provider: str | None, entries: Entries) -> Decimal | None:
    """How many tokens one unit of a bill is; None where nobody knows."""
    own = meaning(entries, UNIT, provider, unit.lower()) if unit and entries else None
    # Equal numbers are written alike: split keys are known by how they are written.
    return Decimal(plain(Decimal(own.tokens))) if own and own.tokens else tokens_per_unit(unit)


def _read_columns(
    dimension: Mapping[str, Any], said: Said, provider: str | None, called: CalledNames
) -> Said:
    """What the details said, and the columns beside them, until model and class are named."""
    guess: str | None = None  # a name that nobody knows
    for name in WORDING:
        if said.is_known and said.token_class:
            break
        text = str(dimension.get(name) or "")
        if not text:
            continue
        found = read_wording(text, provider, called)
        if guess and found.is_known and name not in FREE_WORDING:
            found = found._replace(model=None, is_known=False)  # it is named already
        if not found.is_known and name not in FREE_WORDING:
            found = found._replace(model=None)
        guess = guess or (found.model if not found.is_known else None)
        said = said.completed(found)
    if not said.model:
        words = dimension.get("sku_meter") or dimension.get("charge_description")
        said = said._replace(model=str(words or "").strip().lower() or None)
    return said


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
            is_open = own in VENDORS_IN_CLOUDS or own in UNNAMED_DOORS
            return _door(service) or own if is_open else own
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
    return next((provider for pattern, provider in _DOORS if pattern.search(service)), None)


def _project(dimension: Mapping[str, Any]) -> str | None:
    return dimension.get("sub_account_id") or None
