"""Which charges come with the invoice, and lines that tell them apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allocation.charges.split_keys import SourceSettings, SplitKey
from allocation.ledger.cost_lines import with_invoice
from allocation.usage.keys import Key
from tests.ledger_rows import NAMES

SOURCE = SourceSettings(1, "aws", "auto", "owner")
USAGE = SplitKey(SOURCE, "USD", "by tag", "direct", "ai", "AWS", "Amazon EC2", "Usage", None, None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"charge_category": "Tax"}, "tax"),
        ({"charge_category": "Credit"}, "credit"),
        ({"charge_category": "Adjustment"}, "adjustment"),
        ({"charge_category": "Purchase"}, "fee"),
        ({"service_name": "AWS Support"}, "support"),
        ({"rule": "Support follows what it covers", "method": "follow"}, "support"),
        ({"rule": "Support follows what it covers"}, None),
        ({"method": "follow", "kind": "credit"}, "credit"),  # a discount
        ({"method": "follow", "kind": "adjustment"}, "adjustment"),  # a correction
        ({"method": "follow", "kind": "shared"}, None),
        ({"kind": "commitment_unused"}, None),  # comes day by day
        ({"service_name": "Customer support model", "key": Key("openai", None, "m", False)}, None),
    ],
)
def test_what_comes_with_the_invoice(changes: dict[str, str], expected: str | None) -> None:
    assert with_invoice(replace(USAGE, **changes)) == expected  # type: ignore[arg-type]


def test_a_line_knows_it_and_the_chargeback_file_does_not() -> None:
    taxed = NAMES._replace(with_invoice="tax")

    assert NAMES.content_hash() != taxed.content_hash()
    assert NAMES.chargeback_key() == taxed.chargeback_key()
