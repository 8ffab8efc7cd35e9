"""Findings about rules as pages and commands list them: errors first, many of one kind in one line
that opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from allocation.rules.checks import ERROR, Finding

FOLDED_FROM = 3
NAMES_SHOWN = 3
MANY_OF = {"rule": "rules", "pool": "pools"}
OF_MANY = {"matches": "match", "stands": "stand"}  # verbs that findings begin with


@dataclass(frozen=True)
class FindingGroup:
    """Findings that say the same about different rules or pools; one alone where `is_folded` is
    false.
    """

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        return self.findings[0]

    @property
    def is_folded(self) -> bool:
        return len(self.findings) > 1

    @property
    def subject(self) -> str:
        kinds = {finding.subject.partition(" ")[0] for finding in self.findings}
        words = MANY_OF.get(kinds.pop(), "entries") if len(kinds) == 1 else "entries"
        return f"{len(self.findings)} {words}"

    @property
    def names(self) -> str:
        shown = ", ".join(
            finding.subject.partition(" ")[2] for finding in self.findings[:NAMES_SHOWN]
        )
        more = len(self.findings) - NAMES_SHOWN
        return f"{shown} and {more} more" if more > 0 else shown

    @property
    def what(self) -> str:
        """Follows the subject: " match no charge", or ", each: nothing fills it"."""
        verb, _, rest = self.first.what.partition(" ")
        return f" {OF_MANY[verb]} {rest}" if verb in OF_MANY else f", each: {self.first.what}"

    @property
    def remedy(self) -> str:
        return self.first.remedy.replace("its condition", "their conditions")

    def __str__(self) -> str:
        """One line, as a terminal shows it."""
        if not self.is_folded:
            return str(self.first)
        return f"{self.subject}{self.what}{f'; {self.remedy}' if self.remedy else ''}: {self.names}"


def grouped(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Every finding once; groups stand where their first one would. Two of a kind stay apart, since
    that reads well.
    """
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.level, finding.what, finding.remedy), []).append(finding)
    groups: list[FindingGroup] = []
    for same in kinds.values():
        wholes = [same] if len(same) >= FOLDED_FROM else [[finding] for finding in same]
        groups += [FindingGroup(tuple(whole)) for whole in wholes]
    return sorted(groups, key=lambda group: (group.first.level != ERROR, group.first.line or 0))
