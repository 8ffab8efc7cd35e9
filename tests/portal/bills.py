"""FOCUS bills small enough to stand in a test, and what the database holds of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from django.db import connection

from portal.ingest.bills.delivery import ImportOutcome, load_bill
from portal.ingest.bills.files.gathering import files_at
from portal.ingest.bills.files.stream import BillFile

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

# The 43 columns of FOCUS 1.0, as one hour of a model's input tokens.
ROW = {
    "AvailabilityZone": "",
    "BilledCost": "1.25",
    "BillingAccountId": "acct-1",
    "BillingAccountName": "Example Company",
    "BillingCurrency": "USD",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": "",
    "ChargeDescription": "gpt-5 input tokens",
    "ChargeFrequency": "Usage-Based",
    "ChargePeriodEnd": "2026-09-02T01:00:00Z",
    "ChargePeriodStart": "2026-09-02T00:00:00Z",
    "CommitmentDiscountCategory": "",
    "CommitmentDiscountId": "",
    "CommitmentDiscountName": "",
    "CommitmentDiscountStatus": "",
    "CommitmentDiscountType": "",
    "ConsumedQuantity": "1000000",
    "ConsumedUnit": "Tokens",
    "ContractedCost": "1.25",
    "ContractedUnitPrice": "0.00000125",
    "EffectiveCost": "1.00",
    "InvoiceIssuerName": "OpenAI",
    "ListCost": "1.25",
    "ListUnitPrice": "0.00000125",
    "PricingCategory": "Standard",
    "PricingQuantity": "1000000",
    "PricingUnit": "Tokens",
    "ProviderName": "OpenAI",
    "PublisherName": "OpenAI",
    "RegionId": "",
    "RegionName": "",
    "ResourceId": "",
    "ResourceName": "",
    "ResourceType": "",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": "API",
    "SkuId": "gpt-5-input",
    "SkuPriceId": "gpt-5-input-1",
    "SubAccountId": "proj-1",
    "SubAccountName": "search",
    "Tags": '{"team": "search"}',
}


def row(**changes: str) -> dict[str, str]:
    return {**ROW, **changes}


def rows(count: int, **changes: str) -> list[dict[str, str]]:
    """So many good rows, told apart by their resource."""
    return [row(ResourceId=f"r-{number}", **changes) for number in range(count)]


def text(
    *lines: dict[str, str], columns: Iterable[str] | None = None, quote_all: bool = False
) -> str:
    """The CSV of these rows; by default with the columns of the first."""
    out = io.StringIO()
    names = list(columns or (lines[0] if lines else ROW))
    writer = csv.DictWriter(
        out, names, lineterminator="\n", extrasaction="ignore", quoting=1 if quote_all else 0
    )
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def deliver(
    folder: Path,
    content: str | bytes,
    *,
    source: str = "openai",
    name: str = "bill.csv",
    **options: object,
) -> ImportOutcome:
    """Loads this content as a file of this name."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load_bill(files=[BillFile.at(path)], source_name=source, **options)  # type: ignore[arg-type]


def deliver_files(
    folder: Path, *contents: str | bytes, source: str = "openai", **options: object
) -> ImportOutcome:
    """Loads these contents as one delivery of files called part0.csv, part1.csv ..."""
    for number, content in enumerate(contents):
        path = folder / f"part{number}.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    files = files_at([folder / f"part{number}.csv" for number in range(len(contents))])
    return load_bill(files=files, source_name=source, **options)  # type: ignore[arg-type]


def published() -> dict[str, tuple[int, Decimal, Decimal]]:
    """What readers see: rows, billed and effective cost by currency."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT d.billing_currency, count(*), sum(c.billed_cost), sum(c.effective_cost)
            FROM charge c
            JOIN allocation_chargedimension d ON d.id = c.dimension_id
            JOIN allocation_chargescope s ON s.id = c.scope_id AND s.state = 'current'
            GROUP BY d.billing_currency
            """
        )
        return {
            currency: (count, billed, effective)
            for currency, count, billed, effective in cursor.fetchall()
        }


def reasons(outcome: ImportOutcome) -> list[tuple[int, str | None, str]]:
    """Line, column and reason of each rejected row shown."""
    return [(each.line, each.column, each.reason) for each in outcome.rejected]
