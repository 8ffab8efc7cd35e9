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
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from allocation.rules.edits import free_name, rule_entry, with_rule
from allocation.values.money import LEAST_PLACES, exact_sum, places_of, plain, quanta_of, text_of
from allocation.values.names import normal_name
from allocation.values.reasons import NO_RULE, NO_TEAM, UNKNOWN_TEAM, UNTRACED
from allocation.values.split import split_quanta

LEAST_CONFIDENCE = Fraction(60, 100)
CREATOR_TAGS = (
    "created_by",
    "createdby",
    "created-by",
    "creator",
    "aws:createdby",
    "owner_email",
    "owner-email",
    "owneremail",
    "owner",
    "contact",
)
LEAST_PREFIX = 3  # letters; shorter ones say nothing
RESOURCE_GROUP = re.compile(r"/resourcegroups/([^/]+)", re.IGNORECASE)
FIRST_WORD = re.compile(r"([^-_./:\s]+)[-_.]")


@dataclass(frozen=True)
class Bucket:
    """How the charges of one rule and split key are owned, in one currency: cost by team, and by
    reason of nobody.
    """

    key: tuple[int, int]  # run, number
    rule: str
    method: str
    untraced: str | None  # the source's policy for what no trace explains
    teams: Mapping[str, Decimal] = field(default_factory=dict)
    reasons: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class Charges:
    """The charges of a bucket with equal descriptive columns. Tags by normal key."""

    bucket: tuple[int, int]
    source: str
    charges: int
    cost: Decimal
    provider: str | None = None
    service: str | None = None
    sub_account: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    principal: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TracedCalls:
    """Calls of a team as traces tell them, by the provider's project they were billed to and the
    calling service.
    """

    project: str | None
    service: str | None
    team: str
    calls: Decimal


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


# ---------------------------------------------------------------- evidence


@dataclass(frozen=True)
class Evidence:
    """A property of a charge: `value` is compared, `words` say it, `condition` finds it in a
    rule.
    """

    kind: str
    value: tuple[str, ...]
    words: str
    condition: Mapping[str, Any]


def evidence_of(charges: Charges) -> list[Evidence]:
    """What the charges share with others, the most telling first."""
    found = []
    for key in CREATOR_TAGS:
        if value := charges.tags.get(normal_name(key)):
            words = f"the tag {key} is {value}"
            found.append(
                Evidence("creator", (key, normal_name(value)), words, {f"Tags.{key}": value})
            )
    if charges.principal:
        words = f"made by the principal {charges.principal}"
        found.append(
            Evidence("principal", (charges.principal,), words, {"PrincipalId": charges.principal})
        )
    if group := RESOURCE_GROUP.search(charges.resource_id or ""):
        named = (charges.sub_account or "", group[1].casefold())
        condition = {"ResourceId": {"contains": f"/resourceGroups/{group[1]}/"}}
        found.append(
            Evidence("resource group", named, f"in the resource group {group[1]}", condition)
        )
    if prefix := name_prefix(charges):
        found.append(prefix)
    if charges.sub_account:
        account = (charges.provider or "", charges.sub_account)
        words = f"in the sub-account {charges.sub_account}"
        found.append(Evidence("sub-account", account, words, {"SubAccountId": charges.sub_account}))
    return found


def name_prefix(charges: Charges) -> Evidence | None:
    """The first word of the resource's name, or of the last part of its id."""
    name = charges.resource_name or re.split(r"[/:]", charges.resource_id or "")[-1]
    word = FIRST_WORD.match(name)
    if not word or len(word[1]) < LEAST_PREFIX or word[1].isdigit():
        return None
    prefix = word[0]
    column = "ResourceName" if charges.resource_name else "ResourceId"
    condition = {
        column: {"prefix": prefix}
        if charges.resource_name
        else {"regex": f"[/:]{re.escape(prefix)}[^/:]*$"}
    }
    value = (charges.provider or "", prefix)
    return Evidence("name prefix", value, f"with names that begin with {prefix}", condition)


def traced_evidence(charges: Charges) -> list[Evidence]:
    """How traces may know the charges: by the project they are billed to, or the service that runs
    there.
    """
    found = []
    if charges.resource_name:
        words = f"run by the service {charges.resource_name} of the traces"
        condition = {"ResourceName": charges.resource_name}
        found.append(Evidence("traced service", (charges.resource_name,), words, condition))
    if charges.sub_account:
        words = f"billed to the project {charges.sub_account} of the traces"
        condition = {"SubAccountId": charges.sub_account}
        found.append(Evidence("traced project", (charges.sub_account,), words, condition))
    return found


Owned = dict[
    tuple[str, tuple[str, ...]], dict[str, Fraction]
]  # (kind, value) -> team -> cost or calls


def owned_by_evidence(
    buckets: Mapping[tuple[int, int], Bucket],
    charges: Sequence[Charges],
    traces: Iterable[TracedCalls],
) -> Owned:
    """What each property's owned charges cost each team; of traces, the calls. Credits and refunds
    are no evidence.
    """
    costs: dict[tuple[str, tuple[str, ...]], dict[tuple[int, int], Fraction]] = {}
    totals: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for one in charges:
        if one.cost > 0 and buckets[one.bucket].teams:
            totals[one.bucket] += Fraction(one.cost)
            for evidence in evidence_of(one):
                by_bucket = costs.setdefault((evidence.kind, evidence.value), defaultdict(Fraction))
                by_bucket[one.bucket] += Fraction(one.cost)
    owned: Owned = {}
    for name, by_bucket in costs.items():
        sums = owned.setdefault(name, defaultdict(Fraction))
        for key, cost in by_bucket.items():
            for team, given in buckets[key].teams.items():
                if given > 0:
                    sums[team] += Fraction(given) * cost / totals[key]
    for calls in traces:
        for kind, value in (("traced service", calls.service), ("traced project", calls.project)):
            if value and calls.calls > 0:
                owned.setdefault((kind, (value,)), defaultdict(Fraction))[calls.team] += Fraction(
                    calls.calls
                )
    return owned


# ---------------------------------------------------------------- suggestions


@dataclass(frozen=True)
class _Unowned:
    charges: Charges
    bucket: Bucket
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
    buckets: Iterable[Bucket],
    charges: Sequence[Charges],
    traces: Iterable[TracedCalls],
    currency: str,
) -> Unowned:
    """The work list and the suggestions, most cost first. All amounts are of one currency, and add
    up exactly.
    """
    by_key = {bucket.key: bucket for bucket in buckets}
    owned = owned_by_evidence(by_key, charges, traces)
    pieces = _unowned(by_key, charges)
    chosen: dict[tuple[Any, ...], list[tuple[_Unowned, Evidence]]] = {}
    lines: dict[tuple[Any, ...], list[tuple[_Unowned, tuple[Any, ...] | None]]] = {}
    for piece in pieces:
        best = _best(piece, owned)
        name = None
        if best:
            evidence, team = best
            rule = None if piece.reason == NO_RULE else piece.bucket.rule
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
            piece.bucket.rule,
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
    buckets: Mapping[tuple[int, int], Bucket], charges: Sequence[Charges]
) -> list[_Unowned]:
    """A bucket's unowned cost by its charges: their own where nobody has any of it, else cut by
    their size.
    """
    members: dict[tuple[int, int], list[Charges]] = {}
    for one in charges:
        if buckets[one.bucket].reasons:
            members.setdefault(one.bucket, []).append(one)
    found = []
    for key, own in members.items():
        bucket = buckets[key]
        for reason, cost in bucket.reasons.items():
            is_whole = not bucket.teams and len(bucket.reasons) == 1
            shares = (
                [one.cost for one in own]
                if is_whole
                else _cut(cost, [abs(one.cost) for one in own])
            )
            pairs = zip(own, shares, strict=True)
            found += [_Unowned(one, bucket, reason, share) for one, share in pairs if share]
    return found


def _cut(cost: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Shares of the cost by weight, which add up to it; even ones where no weight is above zero."""
    text = plain(cost)
    places = max(LEAST_PLACES, places_of(text))
    least = max(places_of(plain(weight)) for weight in weights)
    whole = [quanta_of(plain(weight), least) for weight in weights]
    cut = split_quanta(quanta_of(text, places), whole if any(whole) else [1] * len(whole))
    return [Decimal(text_of(quanta, places)) for quanta in cut]


def _best(piece: _Unowned, owned: Owned) -> tuple[Evidence, str] | None:
    """The evidence with the highest confidence, of equal ones the most telling; None below the
    least.
    """
    bucket = piece.bucket
    is_unknown = piece.reason.startswith(UNKNOWN_TEAM)
    if not is_unknown and piece.reason not in (NO_RULE, NO_TEAM, UNTRACED):
        return None
    if piece.reason == UNTRACED and bucket.untraced == "unallocated":  # the source wants it so
        return None
    if bucket.method == "follow" or (bucket.method == "unallocated" and bucket.rule != NO_RULE):
        return None  # it gets an owner with what it follows; a rule wants it so
    best: tuple[Fraction, Evidence, str] | None = None
    for evidence in [*evidence_of(piece.charges), *traced_evidence(piece.charges)]:
        sums = owned.get((evidence.kind, evidence.value))
        if sums:
            team = max(sorted(sums), key=sums.__getitem__)
            confidence = sums[team] / sum(sums.values())
            if confidence >= LEAST_CONFIDENCE and (best is None or confidence > best[0]):
                best = (confidence, evidence, team)
    return best[1:] if best else None


def _suggestion(
    name: tuple[Any, ...], members: list[tuple[_Unowned, Evidence]], owned: Owned, currency: str
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


# ---------------------------------------------------------------- accepting


def accepted_rules(text: str, suggestion: Suggestion, *, note: str) -> tuple[str, str]:
    """The rules with the suggested owner in them, and the new rule's name. Raises RuleError or
    LookupError.

    What no rule takes gets a direct rule at the end. What a rule takes without finding a team gets
    a copy of that rule before it, for these charges only and with this owner. Either owner is
    inferred: rung 5.
    """
    condition = dict(suggestion.condition)
    told = condition.pop("told", None)
    name = free_name(text, f"Accepted owner: {suggestion.team} ({suggestion.kind})")
    owner = {"team": {"inferred": suggestion.team}}
    if suggestion.rule is None:
        entry: dict[str, Any] = {
            "name": name,
            "when": condition,
            "method": "direct",
            "target": owner,
            "note": note,
        }
        return with_rule(text, entry, before=None), name
    taken_by = rule_entry(text, suggestion.rule)
    field_name = "owner" if taken_by["method"] == "traced_usage" else "target"
    before = taken_by.get(field_name) or {}
    parts = [taken_by["when"]] if taken_by.get("when") else []
    parts += [condition, *_without_team(before.get("team"), told)]
    kept = {key: taken_by[key] for key in ("kind", "valid_from", "valid_to") if key in taken_by}
    entry = {
        "name": name,
        "when": {"all": parts},
        "method": taken_by["method"],
        field_name: {**before, **owner},
    }
    return with_rule(text, entry | kept | {"note": note}, before=suggestion.rule), name


def _without_team(spec: Any, told: Sequence[str] | None) -> list[dict[str, Any]]:
    """Only rows whose team tag is missing, or says what the tree does not know: a tag that works
    goes on working.
    """
    if not isinstance(spec, dict) or "tag" not in spec:
        return []
    keys = spec["tag"] if isinstance(spec["tag"], list) else [spec["tag"]]
    if told:
        return [{"any": [{f"Tags.{key}": list(told)} for key in keys]}]
    return [{f"Tags.{key}": {"missing": True}} for key in keys]
