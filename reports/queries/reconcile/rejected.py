"""The money of rows that deliveries left out, for as long as those deliveries stand. Deliveries
speak of the whole organisation, and who may see them is asked before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection

from allocation.values.money import plain

# One row per source and currency of a billing month. Rows of an account and month of which the
# delivery holds others count while it is the current one of those; rows of which it holds no
# others while anything of it is.
REJECTED = """
SELECT source.name, money ->> 'currency', sum((money ->> 'rows')::bigint),
    sum((money ->> 'billed_cost')::numeric), sum((money ->> 'unreadable')::bigint),
    array_agg(DISTINCT delivered.id ORDER BY delivered.id)
FROM allocation_import AS delivered
JOIN allocation_source AS source ON source.id = delivered.source_id
CROSS JOIN LATERAL jsonb_array_elements(delivered.rejected_money) AS money
WHERE delivered.status = 'loaded' AND money ->> 'month' = %(month)s
    AND delivered.rejected_money @> jsonb_build_array(jsonb_build_object('month', %(month)s::text))
    AND EXISTS (
        SELECT FROM allocation_chargescope AS current
        WHERE current.bill_import_id = delivered.id AND current.state = 'current'
            AND (current.billing_account_id, to_char(current.billing_month, 'YYYY-MM'))
                = (money ->> 'account', money ->> 'month')
            OR current.bill_import_id = delivered.id AND current.state = 'current'
            AND NOT EXISTS (
                SELECT FROM allocation_chargescope AS own
                WHERE own.bill_import_id = delivered.id
                    AND (own.billing_account_id, to_char(own.billing_month, 'YYYY-MM'))
                        = (money ->> 'account', money ->> 'month')))
GROUP BY 1, 2
"""


@dataclass(frozen=True)
class RejectedMoney:
    """Rejected rows of one source and currency: the sum of what could be read, and how many rows
    have no readable amount.
    """

    rows: int = 0
    billed_cost: Decimal = Decimal(0)
    unreadable: int = 0
    imports: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether money is missing from the ledger, or may be: what can't be read is not zero."""
        return bool(self.billed_cost or self.unreadable)

    def words(self, currency: str) -> str:
        """What is missing, and what to do."""
        rows = "1 row was" if self.rows == 1 else f"{self.rows:,} rows were"
        found = f"{rows} rejected with {plain(self.billed_cost)} {currency} billed"
        if self.unreadable:
            found += f", {self.unreadable:,} without a readable amount"
        numbers = ", ".join(map(str, self.imports))
        return f"{found}: see import {numbers}, and deliver the corrected bill"


NOTHING_REJECTED = RejectedMoney()


def rejected_money(month: date) -> dict[tuple[str, str], RejectedMoney]:
    """By source and currency."""
    with connection.cursor() as cursor:
        cursor.execute(REJECTED, {"month": f"{month:%Y-%m}"})
        return {
            (source, currency): RejectedMoney(int(rows), billed, int(unreadable), tuple(imports))
            for source, currency, rows, billed, unreadable, imports in cursor.fetchall()
        }
