"""The stages of a run, in the order in which their slices are written."""

from __future__ import annotations

# Parts of the ledger, in the order they are written: what nothing but the day has a say in, what
# goes by the month's calls, or by what providers report of the month, each stage of splits by other
# cost, and what follows. And usage, which is written beside them.
BY_DAY, BY_MONTH, BY_REPORTS, FOLLOWERS, USAGE = 0, 1, 2, 1000, -1
