"""Why cost stays unallocated: the one place that spells each reason. A rule can name its own."""

from __future__ import annotations

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
