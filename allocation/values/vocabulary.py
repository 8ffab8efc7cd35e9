"""Why cost stays unallocated: the one place that spells each reason. A rule can name its own."""

from __future__ import annotations

# Parts of the ledger, in the order they are written: what nothing but the day has a say in, what
# goes by the month's calls, or by what providers report of the month, each stage of splits by other
# cost, and what follows. And usage, which is written beside them.
BY_DAY, BY_MONTH, BY_REPORTS, FOLLOWERS, USAGE = 0, 1, 2, 1000, -1


NO_RULE = "no rule"
OUTSIDE_SCOPE = "outside AI scope"
NO_TEAM = "no team"
UNKNOWN_TEAM = "unknown team"  # followed by the name that a tag or a trace gave
UNTRACED = "untraced"
NOTHING_TO_FOLLOW = "nothing to follow"
IDLE = "idle capacity"
NO_GPU_USAGE = "no GPU usage"
NO_DRIVER = "no driver data"
ZERO_DRIVER = "driver is zero"
OVER_EVERY_CAP = "over every cap"
