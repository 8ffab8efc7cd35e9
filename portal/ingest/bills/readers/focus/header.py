"""Headers of FOCUS Cost and Usage, 1.0 to 1.4: what each column is, and which version it makes."""

from __future__ import annotations

import re

from portal.ingest.bills.formats import BY_FOLDED, KNOWN, Header
from portal.ingest.problems import BillRefused

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


def understand_header(delivered: list[str], place: str) -> Header:
    """The header by FOCUS names. Raises BillRefused, naming the place where the header stands, for
    columns that are missing, repeated or unnamed.
    """
    if len(delivered) == 1 and (found := re.search(r"[;\t|]", delivered[0])):
        separator = {"\t": "a tab"}.get(found[0], found[0])
        raise BillRefused(
            f"{place}: the header is separated by {separator}, not by commas; export "
            "comma-separated CSV"
        )
    names: list[str] = []
    recased = 0
    for position, text in enumerate(delivered, start=1):
        stripped = text.strip()
        if not stripped:
            raise BillRefused(
                f"{place}, column {position}: the header has no name there; name or remove the "
                "column"
            )
        name = BY_FOLDED.get(stripped.lower(), stripped)
        recased += name != text
        names.append(name)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BillRefused(
            f"{place}: the header names {', '.join(repeated)} more than once; which one counts "
            "can't be known, so remove or rename the repeated column"
        )
    present = set(names)
    absent = [name for name in ESSENTIAL if name not in present]
    if not present & {"ProviderName", "ServiceProviderName"}:
        absent.append("ProviderName or ServiceProviderName")
    if absent:
        raise BillRefused(
            f"{place}: the header lacks {', '.join(absent)}; a FOCUS Cost and Usage file has "
            "them, so check that this is one and export it with all mandatory columns"
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
