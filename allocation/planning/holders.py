"""Who has a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

HolderKind = Literal["team", "cost_center"]
KIND_WORDS: Mapping[HolderKind, str] = {"team": "team", "cost_center": "cost centre"}


class PlanHolder(NamedTuple):
    """Who has a plan: a team by its slug, or a cost centre by its code."""

    kind: HolderKind
    own: str

    @property
    def words(self) -> str:
        return f"{KIND_WORDS[self.kind]} {self.own}"
