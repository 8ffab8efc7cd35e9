"""Who might own what nobody owns: evidence from charges whose owner is known, and from traces.
Pure.

A suggestion rests on one kind of evidence: charges that share a property (a sub-account, say) with
the unowned ones, and how their cost is owned. Its confidence is the share of that owned cost that
one team has; below LEAST_CONFIDENCE nothing is suggested. Every unowned charge counts for one
suggestion only, so that their amounts can be added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from allocation.rules.evidence import (
    ChargeProperty,
    Charges,
    Owned,
    SplitKeyCost,
    TracedCalls,
    evidence_of,
    owned_by_evidence,
    traced_evidence,
)
from allocation.values.money import LEAST_PLACES, exact_sum, places_of, plain, quanta_of, text_of
from allocation.values.names import (
    NO_RULE,
    NO_TEAM,
    UNKNOWN_TEAM,
    UNKNOWN_WORDING,
    UNTRACED,
    normal_name,
)
from allocation.values.split import split_quanta

LEAST_CONFIDENCE = Fraction(60, 100)


@dataclass(frozen=True)
class Suggestion:
    """One owner for some unowned charges. `rule` takes them now, None where no rule does."""

    kind: str
    team: str
    confidence: Fraction
    words: str
    cost: Decimal
    charges: int
    source: str
    provider: str | None
    reason: str
    rule: str | None
    condition: Mapping[str, Any] = field(compare=False)

    @property
    def identity(self) -> str:
        """The same while its evidence, owner and charges are of the same kind; not its amounts."""
        parts = [
            self.kind,
            self.team,
            self.source,
            self.provider,
            self.reason,
            self.rule,
            self.condition,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class WorkLine:
    """Unowned cost of one reason, rule, service and sub-account, and the largest suggestion for
    it.
    """

    source: str
    provider: str | None
    service: str | None
    sub_account: str | None
    rule: str
    reason: str
    charges: int
    cost: Decimal
    suggestion: Suggestion | None


@dataclass(frozen=True)
class _Unowned:
    charges: Charges
    split_key: SplitKeyCost
    reason: str
    cost: Decimal


@dataclass(frozen=True)
class Unowned:
    """Everything that has no owner, in one currency: by line, and with a suggestion where there is
    one.
    """

    lines: tuple[WorkLine, ...]
    suggestions: tuple[Suggestion, ...]

    @property
    def total(self) -> Decimal:
        return exact_sum(line.cost for line in self.lines)

    @property
    def suggested(self) -> Decimal:
        return exact_sum(suggestion.cost for suggestion in self.suggestions)


def unowned_cost(
    *,
    split_keys: Iterable[SplitKeyCost],
    charges: Sequence[Charges],
    traces: Iterable[TracedCalls],
    currency: str,
) -> Unowned:
    """The work list and the suggestions, most cost first. All amounts are of one currency, and add
    up exactly.
    """
    by_key = {split_key.key: split_key for split_key in split_keys}
    owned = owned_by_evidence(by_key, charges, traces)
    pieces = _unowned(by_key, charges)
    chosen: dict[tuple[Any, ...], list[tuple[_Unowned, ChargeProperty]]] = {}
    lines: dict[tuple[Any, ...], list[tuple[_Unowned, tuple[Any, ...] | None]]] = {}
    for piece in pieces:
        best = _best(piece, owned)
        name = None
        if best:
            evidence, team = best
            rule = None if piece.reason == NO_RULE else piece.split_key.rule
            one = piece.charges
            name = (
                evidence.kind,
                evidence.value,
                team,
                one.source,
                one.provider or "",
                piece.reason,
                rule or "",
            )
            chosen.setdefault(name, []).append((piece, evidence))
        line = (
            piece.charges.source,
            piece.charges.provider,
            piece.charges.service,
            piece.charges.sub_account,
            piece.split_key.rule,
            piece.reason,
        )
        lines.setdefault(line, []).append((piece, name))
    made = {name: _suggestion(name, members, owned, currency) for name, members in chosen.items()}
    work = [_work_line(line, members, made) for line, members in lines.items()]
    return Unowned(
        lines=tuple(sorted(work, key=lambda one: (-abs(one.cost), str(one)))),
        suggestions=tuple(sorted(made.values(), key=lambda one: (-one.cost, one.identity))),
    )


def _unowned(
    split_keys: Mapping[tuple[int, int], SplitKeyCost], charges: Sequence[Charges]
) -> list[_Unowned]:
    """A split key's unowned cost by its charges: their own where nobody has any of it, else cut by
    their size.
    """
    members: dict[tuple[int, int], list[Charges]] = {}
    for one in charges:
        if split_keys[one.split_key].reasons:
            members.setdefault(one.split_key, []).append(one)
    found = []
    for key, own in members.items():
        split_key = split_keys[key]
        for reason, cost in split_key.reasons.items():
            is_whole = not split_key.teams and len(split_key.reasons) == 1
            shares = (
                [one.cost for one in own]
                if is_whole
                else _cut(cost, [abs(one.cost) for one in own])
            )
            pairs = zip(own, shares, strict=True)
            found += [_Unowned(one, split_key, reason, share) for one, share in pairs if share]
    return found


def _cut(cost: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Shares of the cost by weight, which add up to it; even ones where no weight is above zero."""
    text = plain(cost)
    places = max(LEAST_PLACES, places_of(text))
    least = max(places_of(plain(weight)) for weight in weights)
    whole = [quanta_of(plain(weight), least) for weight in weights]
    cut = split_quanta(quanta_of(text, places), whole if any(whole) else [1] * len(whole))
    return [Decimal(text_of(quanta, places)) for quanta in cut]


def _best(piece: _Unowned, owned: Owned) -> tuple[ChargeProperty, str] | None:
    """The evidence with the highest confidence, of equal ones the most telling; None below the
    least.
    """
    split_key = piece.split_key
    is_unknown = piece.reason.startswith(UNKNOWN_TEAM)
    if not is_unknown and piece.reason not in (NO_RULE, NO_TEAM, UNTRACED, UNKNOWN_WORDING):
        return None
    if piece.reason == UNTRACED and split_key.untraced == "unallocated":  # the source wants it so
        return None
    if split_key.method == "follow" or (
        split_key.method == "unallocated" and split_key.rule != NO_RULE
    ):
        return None  # it gets an owner with what it follows; a rule wants it so
    best: tuple[Fraction, ChargeProperty, str] | None = None
    for evidence in [*evidence_of(piece.charges), *traced_evidence(piece.charges)]:
        sums = owned.get((evidence.kind, evidence.value))
        if sums:
            team = max(sorted(sums), key=sums.__getitem__)
            confidence = sums[team] / sum(sums.values())
            if confidence >= LEAST_CONFIDENCE and (best is None or confidence > best[0]):
                best = (confidence, evidence, team)
    return best[1:] if best else None


def _suggestion(
    name: tuple[Any, ...],
    members: list[tuple[_Unowned, ChargeProperty]],
    owned: Owned,
    currency: str,
) -> Suggestion:
    kind, value, team, source, provider, reason, rule = name
    sums = owned[kind, value]
    total = sum(sums.values())
    confidence = sums[team] / total
    first, evidence = members[0]
    services = sorted({piece.charges.service or "" for piece, _ in members})
    condition: dict[str, Any] = {"ProviderName": provider if provider else {"missing": True}}
    if all(services):
        condition["ServiceName"] = services
    if kind == "creator":
        ((tag, _),) = evidence.condition.items()
        condition[tag] = sorted({str(own.condition[tag]) for _, own in members})
    else:
        condition.update(evidence.condition)
    told = sorted({text for piece, _ in members for text in _team_tags(piece)})
    if reason.startswith(UNKNOWN_TEAM) and told:
        condition["told"] = told
    amount = f"{Decimal(round(total)):,}"
    counted = (
        f"{amount} traced calls"
        if kind.startswith("traced")
        else f"{amount} {currency} of owned cost"
    )
    return Suggestion(
        kind=kind,
        team=team,
        confidence=confidence,
        words=f"{evidence.words}: {percent_words(confidence)} of {counted} there is this team's",
        cost=exact_sum(piece.cost for piece, _ in members),
        charges=sum(piece.charges.charges for piece, _ in members),
        source=source,
        provider=first.charges.provider,
        reason=reason,
        rule=rule or None,
        condition=condition,
    )


def percent_words(share: Fraction) -> str:
    """Rounded down, so that nothing is called all of it that isn't."""
    return f"{int(share * 100)}%"


def _team_tags(piece: _Unowned) -> list[str]:
    """The tag values that name the team which the tree does not know."""
    told = normal_name(piece.reason.removeprefix(f"{UNKNOWN_TEAM}:"))
    return [value for value in piece.charges.tags.values() if normal_name(value) == told]


def _work_line(
    line: tuple[Any, ...],
    members: list[tuple[_Unowned, tuple[Any, ...] | None]],
    made: Mapping[tuple[Any, ...], Suggestion],
) -> WorkLine:
    source, provider, service, sub_account, rule, reason = line
    named = {name: made[name] for _, name in members if name is not None}
    return WorkLine(
        source=source,
        provider=provider,
        service=service,
        sub_account=sub_account,
        rule=rule,
        reason=reason,
        charges=sum(piece.charges.charges for piece, _ in members),
        cost=exact_sum(piece.cost for piece, _ in members),
        suggestion=max(named.values(), key=lambda one: (abs(one.cost), one.identity), default=None),
    )
