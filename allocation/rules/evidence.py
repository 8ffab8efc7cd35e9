"""What tells whose unowned charges may be: properties that they share with owned ones. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from allocation.values.names import normal_name

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
class SplitKeyCost:
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
    """The charges of a split key with equal descriptive columns. Tags by normal key."""

    split_key: tuple[int, int]
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
class ChargeProperty:
    """A property of a charge: `value` is compared, `words` say it, `condition` finds it in a
    rule.
    """

    kind: str
    value: tuple[str, ...]
    words: str
    condition: Mapping[str, Any]


def evidence_of(charges: Charges) -> list[ChargeProperty]:
    """What the charges share with others, the most telling first."""
    found = []
    for key in CREATOR_TAGS:
        if value := charges.tags.get(normal_name(key)):
            words = f"the tag {key} is {value}"
            found.append(
                ChargeProperty("creator", (key, normal_name(value)), words, {f"Tags.{key}": value})
            )
    if charges.principal:
        words = f"made by the principal {charges.principal}"
        found.append(
            ChargeProperty(
                "principal", (charges.principal,), words, {"PrincipalId": charges.principal}
            )
        )
    if group := RESOURCE_GROUP.search(charges.resource_id or ""):
        named = (charges.sub_account or "", group[1].casefold())
        condition = {"ResourceId": {"contains": f"/resourceGroups/{group[1]}/"}}
        found.append(
            ChargeProperty("resource group", named, f"in the resource group {group[1]}", condition)
        )
    if prefix := name_prefix(charges):
        found.append(prefix)
    if charges.sub_account:
        account = (charges.provider or "", charges.sub_account)
        words = f"in the sub-account {charges.sub_account}"
        found.append(
            ChargeProperty("sub-account", account, words, {"SubAccountId": charges.sub_account})
        )
    return found


def name_prefix(charges: Charges) -> ChargeProperty | None:
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
    return ChargeProperty("name prefix", value, f"with names that begin with {prefix}", condition)


def traced_evidence(charges: Charges) -> list[ChargeProperty]:
    """How traces may know the charges: by the project they are billed to, or the service that runs
    there.
    """
    found = []
    if charges.resource_name:
        words = f"run by the service {charges.resource_name} of the traces"
        condition = {"ResourceName": charges.resource_name}
        found.append(ChargeProperty("traced service", (charges.resource_name,), words, condition))
    if charges.sub_account:
        words = f"billed to the project {charges.sub_account} of the traces"
        condition = {"SubAccountId": charges.sub_account}
        found.append(ChargeProperty("traced project", (charges.sub_account,), words, condition))
    return found


# (kind, value) -> team -> cost or calls
Owned = dict[tuple[str, tuple[str, ...]], dict[str, Fraction]]


def owned_by_evidence(
    split_keys: Mapping[tuple[int, int], SplitKeyCost],
    charges: Sequence[Charges],
    traces: Iterable[TracedCalls],
) -> Owned:
    """What each property's owned charges cost each team; of traces, the calls. Credits and refunds
    are no evidence.
    """
    costs: dict[tuple[str, tuple[str, ...]], dict[tuple[int, int], Fraction]] = {}
    totals: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    for one in charges:
        if one.cost > 0 and split_keys[one.split_key].teams:
            totals[one.split_key] += Fraction(one.cost)
            for evidence in evidence_of(one):
                by_split_key = costs.setdefault(
                    (evidence.kind, evidence.value), defaultdict(Fraction)
                )
                by_split_key[one.split_key] += Fraction(one.cost)
    owned: Owned = {}
    for name, by_split_key in costs.items():
        sums = owned.setdefault(name, defaultdict(Fraction))
        for key, cost in by_split_key.items():
            for team, given in split_keys[key].teams.items():
                if given > 0:
                    sums[team] += Fraction(given) * cost / totals[key]
    for calls in traces:
        for kind, value in (("traced service", calls.service), ("traced project", calls.project)):
            if value and calls.calls > 0:
                owned.setdefault((kind, (value,)), defaultdict(Fraction))[calls.team] += Fraction(
                    calls.calls
                )
    return owned
