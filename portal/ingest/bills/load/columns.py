"""The columns of FOCUS Cost and Usage, 1.0 to 1.4, by which every bill is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field

from allocation.models import ChargeDimension

NUMBERS = (
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "ConsumedQuantity",
    "PricingQuantity",
    "CommitmentDiscountQuantity",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
)
COSTS = NUMBERS[:4]
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
JSON_COLUMNS = (
    "AllocatedMethodDetails",
    "AllocatedTags",
    "CommitmentProgramEligibilityDetails",
    "ContractApplied",
    "SkuPriceDetails",
    "Tags",
)
TAG_COLUMNS = ("AllocatedTags", "Tags")  # flat keys and values


def focus_name(model_field: str) -> str:
    """`pricing_currency` -> `PricingCurrency`."""
    return "".join(word.capitalize() for word in model_field.split("_"))


# Fields of charge_dimension in the order in which they are hashed, with the FOCUS column each one
# holds.
DIMENSION_FIELDS: tuple[str, ...] = tuple(
    each.name
    for each in ChargeDimension._meta.concrete_fields
    if each.name not in ("id", "content_hash")
)
DIMENSION_COLUMNS: tuple[str, ...] = tuple(focus_name(name) for name in DIMENSION_FIELDS)
KNOWN: tuple[str, ...] = (
    *NUMBERS,
    *TIMES,
    *(name for name in DIMENSION_COLUMNS if name not in TIMES),
)
BY_FOLDED = {name.lower(): name for name in KNOWN}


@dataclass(frozen=True, slots=True)
class Header:
    """A delivered header, understood.

    `names` has one entry per column that the reader hands over, in order: the FOCUS name, or the
    name as delivered for a column FOCUS does not know (kept in charge.extra). `version` is that of
    FOCUS; None for a bill of another format.
    """

    names: tuple[str, ...]
    version: str | None
    unknown: tuple[str, ...]
    missing: tuple[str, ...]  # mandatory in this version, not delivered
    repairs: dict[str, int] = field(default_factory=dict)
