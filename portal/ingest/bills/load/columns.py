"""The columns of FOCUS Cost and Usage, 1.0 to 1.4, and how a delivered header maps to them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from allocation.models import ChargeDimension
from portal.ingest.problems import BillRefused

Kind = Literal["text", "number", "time", "json"]
VERSIONS: tuple[str, ...] = ("1.0", "1.1", "1.2", "1.3", "1.4")

# Without these a row can't stand in the ledger, so a file that lacks one is refused.
ESSENTIAL = (
    "BilledCost",
    "EffectiveCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ServiceName",
)

# Mandatory in FOCUS; where one is missing the rows load with null there, and the gap is counted.
MANDATORY = (
    "BillingAccountName",
    "ChargeClass",
    "ChargeDescription",
    "ContractedCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ServiceCategory",
)

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

ADDED = {
    "1.1": (
        "CapacityReservationId",
        "CapacityReservationStatus",
        "CommitmentDiscountQuantity",
        "CommitmentDiscountUnit",
        "ServiceSubcategory",
        "SkuMeter",
        "SkuPriceDetails",
    ),
    "1.2": (
        "InvoiceId",
        "PricingCurrency",
        "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost",
        "PricingCurrencyListUnitPrice",
        "BillingAccountType",
        "SubAccountType",
    ),
    "1.3": (
        "AllocatedMethodDetails",
        "AllocatedMethodId",
        "AllocatedResourceId",
        "AllocatedResourceName",
        "AllocatedTags",
        "ContractApplied",
        "ServiceProviderName",
        "HostProviderName",
    ),
    "1.4": ("CommitmentProgramEligibilityDetails", "InvoiceDetailId"),
}


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
_BY_FOLDED = {name.lower(): name for name in KNOWN}


@dataclass(frozen=True, slots=True)
class Header:
    """A delivered header, understood.

    `names` has one entry per delivered column, in order: the FOCUS name, or the name as delivered
    for a column FOCUS does not know (kept in charge.extra).
    """

    names: tuple[str, ...]
    version: str
    unknown: tuple[str, ...]
    missing: tuple[str, ...]  # mandatory in this version, not delivered
    repairs: dict[str, int] = field(default_factory=dict)


def understand_header(delivered: list[str], *, line: int = 1) -> Header:
    """The header by FOCUS names. Raises BillRefused for columns that are missing, repeated or
    unnamed.
    """
    if len(delivered) == 1 and (found := re.search(r"[;\t|]", delivered[0])):
        separator = {"\t": "a tab"}.get(found[0], found[0])
        raise BillRefused(
            f"line {line}: the header is separated by {separator}, not by commas; export comma-separated CSV"
        )
    names: list[str] = []
    recased = 0
    for position, text in enumerate(delivered, start=1):
        stripped = text.strip()
        if not stripped:
            raise BillRefused(
                f"line {line}, column {position}: the header has no name there; name or remove the column"
            )
        name = _BY_FOLDED.get(stripped.lower(), stripped)
        recased += name != text
        names.append(name)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BillRefused(
            f"line {line}: the header names {', '.join(repeated)} more than once; which one counts can't be known, "
            "so remove or rename the repeated column"
        )
    present = set(names)
    absent = [name for name in ESSENTIAL if name not in present]
    if not present & {"ProviderName", "ServiceProviderName"}:
        absent.append("ProviderName or ServiceProviderName")
    if absent:
        raise BillRefused(
            f"line {line}: the header lacks {', '.join(absent)}; a FOCUS Cost and Usage file has them, "
            "so check that this is one and export it with all mandatory columns"
        )
    version = focus_version(present)
    return Header(
        names=tuple(names),
        version=version,
        unknown=tuple(name for name in names if name not in KNOWN),
        missing=tuple(name for name in mandatory(version) if name not in present),
        repairs={"header_name": recased} if recased else {},
    )


def focus_version(present: set[str]) -> str:
    """The oldest FOCUS version that has every delivered column; 1.4 where the provider columns it
    removed are gone.
    """
    if "ServiceProviderName" in present and "ProviderName" not in present:
        return "1.4"
    for version in VERSIONS[:0:-1]:
        if present.intersection(ADDED[version]):
            return version
    return VERSIONS[0]


def mandatory(version: str) -> tuple[str, ...]:
    """Mandatory columns of the version beyond the essential ones."""
    names = [*MANDATORY]
    if version != "1.4":
        names += ["ProviderName", "PublisherName"]
    if version >= "1.3":
        names += ["ServiceProviderName", "HostProviderName"]
    return tuple(names)
