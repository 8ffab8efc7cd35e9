"""Who pays, as a rule, a tag or a call names it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NAMED, INFERRED = (
    4,
    5,
)  # rungs of evidence: said by a person, a tag or an uploaded list; guessed from a pattern


TARGET_FIELDS = ("team", "feature", "product", "environment", "customer", "phase")


@dataclass(frozen=True)
class Owner:
    """Targets as text, as the rule or the row names them; `rung` is the evidence (4 named or
    tagged, 5 inferred).
    """

    team: str | None = None
    feature: str | None = None
    product: str | None = None
    environment: str | None = None
    customer: str | None = None
    phase: str | None = None
    rung: int = NAMED
    partner_team: str | None = None  # the other side of a call between agents
    partner_feature: str | None = None
