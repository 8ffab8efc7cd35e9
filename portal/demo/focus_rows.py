"""Bill lines as FOCUS rows of the version each provider delivers, and as files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from allocation.values.money import plain
from portal.demo.settings import month_after
from portal.demo.truth import Cause

_1_0 = (
    "AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingCurrency "
    "BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeClass ChargeDescription "
    "ChargeFrequency ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory "
    "CommitmentDiscountId CommitmentDiscountName CommitmentDiscountStatus CommitmentDiscountType "
    "ConsumedQuantity ConsumedUnit ContractedCost ContractedUnitPrice EffectiveCost "
    "InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingQuantity PricingUnit "
    "ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType "
    "ServiceCategory ServiceName SkuId SkuPriceId SubAccountId SubAccountName Tags"
)
_1_1 = (
    "CapacityReservationId CapacityReservationStatus CommitmentDiscountQuantity "
    "CommitmentDiscountUnit ServiceSubcategory SkuMeter SkuPriceDetails"
)
_1_2 = (
    "BillingAccountType InvoiceId PricingCurrency PricingCurrencyContractedUnitPrice "
    "PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice SubAccountType"
)
_1_3 = (
    "AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName "
    "AllocatedTags ContractApplied HostProviderName ServiceProviderName"
)
COLUMNS = {
    "1.0": tuple(_1_0.split()),
    "1.2": tuple(sorted(f"{_1_0} {_1_1} {_1_2}".split())),
    "1.3": tuple(sorted(f"{_1_0} {_1_1} {_1_2} {_1_3}".split())),
}


@dataclass(frozen=True)
class BillAccount:
    """One provider's bill to one of Larkspur's legal entities."""

    source: str
    version: str
    identifier: str
    name: str
    currency: str
    provider: str
    issuer: str
    sub_account_type: str
    lag_days: int  # the newest day on the bill is this many days before today


@dataclass(frozen=True)
class DemoBillLine:
    """One bill row. Costs are derived from prices by `bills.priced`, or given."""

    account: BillAccount
    month: date
    start: date
    end: date  # exclusive
    category: str
    service: str
    service_category: str
    description: str
    billed: Decimal
    effective: Decimal
    listed: Decimal = Decimal(0)
    contracted: Decimal = Decimal(0)
    project: tuple[str, str] | None = None  # sub-account id and name
    tags: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)  # further FOCUS columns, as written
    causes: Mapping[Cause, int] = field(default_factory=dict)  # empty: the line follows others

    @property
    def costs(self) -> tuple[Decimal, Decimal]:
        return self.billed, self.effective


def _time(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def focus_row(line: DemoBillLine) -> dict[str, str]:
    """The row's cells by FOCUS name; columns that are missing are null."""
    account = line.account
    cells = {
        "BilledCost": plain(line.billed),
        "EffectiveCost": plain(line.effective),
        "ListCost": plain(line.listed),
        "ContractedCost": plain(line.contracted),
        "BillingAccountId": account.identifier,
        "BillingAccountName": account.name,
        "BillingAccountType": "Billing account",
        "BillingCurrency": account.currency,
        "BillingPeriodStart": _time(line.month),
        "BillingPeriodEnd": _time(month_after(line.month)),
        "ChargePeriodStart": _time(line.start),
        "ChargePeriodEnd": _time(line.end),
        "ChargeCategory": line.category,
        "ChargeDescription": line.description,
        "ChargeFrequency": "Usage-Based" if line.category == "Usage" else "One-Time",
        "InvoiceIssuerName": account.issuer,
        "ProviderName": account.provider,
        "PublisherName": account.provider,
        "ServiceProviderName": account.provider,
        "HostProviderName": account.provider,
        "ServiceName": line.service,
        "ServiceCategory": line.service_category,
        "PricingCurrency": account.currency,
        "PricingCurrencyEffectiveCost": plain(line.effective),
    }
    if line.project:
        cells |= {"SubAccountId": line.project[0], "SubAccountName": line.project[1]}
        cells["SubAccountType"] = account.sub_account_type
    if line.tags:
        cells["Tags"] = json.dumps(dict(sorted(line.tags.items())))
    return {**cells, **line.columns}


def focus_csv(lines: Sequence[DemoBillLine], *, version: str, extra: Sequence[str] = ()) -> bytes:
    """The lines as a FOCUS CSV file of this version, with the provider's own x_ columns after the
    standard ones.
    """
    out = io.StringIO()
    writer = csv.DictWriter(
        out, (*COLUMNS[version], *extra), extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(focus_row(line) for line in lines)
    return out.getvalue().encode()


def gzipped(content: bytes, level: int = 6) -> bytes:
    """Compressed without clock or name, so that equal content gives equal bytes."""
    return gzip.compress(content, compresslevel=level, mtime=0)


def billed_through(account: BillAccount, now: datetime) -> date:
    """The first day that is not on the bill yet."""
    return now.date() - timedelta(days=account.lag_days - 1)
