"""What cost is attributed to an owner, and what becomes of the rest: the one definition, as SQL.

Attributed is what rests on evidence of rungs 1 to 4, less untraced cost that was shared out. Lines
of unknown coverage are not: a run puts them on the rung of what is inferred.
"""

from __future__ import annotations

from typing import Final

from reports.readable import MEASURED_UP_TO

ATTRIBUTED: Final = "attributed"
SHARED_OUT: Final = "shared_out"
INFERRED: Final = "inferred"
UNALLOCATED: Final = "unallocated"
# What the ledger, which has each group's coverage beside its shares, tells apart in the inferred.
OWNER: Final = "owner"
UNKNOWN_COVERAGE: Final = "unknown_coverage"
LEDGER_PARTS: Final = (ATTRIBUTED, SHARED_OUT, OWNER, UNKNOWN_COVERAGE, UNALLOCATED)

ATTRIBUTED_UP_TO: Final = 4


def attribution(alias: str) -> str:
    """SQL: which part a row of the rollup or of the ledger is of."""
    return (
        f"CASE WHEN {alias}.charge_kind = 'unallocated' THEN '{UNALLOCATED}'"
        f" WHEN {alias}.evidence > {ATTRIBUTED_UP_TO} THEN '{INFERRED}'"
        f" WHEN {alias}.charge_kind = 'untraced' AND {alias}.evidence <= {MEASURED_UP_TO}"
        f" THEN '{SHARED_OUT}' ELSE '{ATTRIBUTED}' END"
    )


def ledger_attribution(share: str, split_key: str, group: str) -> str:
    """SQL: the same with what is inferred told apart: untraced cost that was shared out on inferred
    shares, lines of unknown coverage, and owners that are inferred.
    """
    return (
        f"CASE WHEN {share}.evidence <= {ATTRIBUTED_UP_TO} OR {share}.charge_kind = 'unallocated'"
        f" THEN {attribution(share)}"
        f" WHEN {share}.charge_kind = 'untraced' AND starts_with({group}.note, 'untraced spread')"
        f" THEN '{SHARED_OUT}'"
        f" WHEN {share}.charge_kind <> 'untraced' AND {split_key}.method = 'traced_usage'"
        f" AND {group}.coverage IS NULL THEN '{UNKNOWN_COVERAGE}'"
        f" ELSE '{OWNER}' END"
    )
