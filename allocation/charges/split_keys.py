"""Charges with equal rule and split key form a split key; with a day, a charge group. Rules see
each dimension once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from allocation.catalogue.entries import Entries
from allocation.catalogue.naming import NOTHING_CALLED, CalledNames
from allocation.models import ProjectMatch
from allocation.organisation.targets import TARGET_FIELDS, Owner
from allocation.rules.conditions import Facts, RowTest
from allocation.rules.methods import (
    BY_USAGE,
    CAPACITY,
    DIRECT,
    FIXED,
    FOLLOW,
    GPU,
    NONE,
    PROVIDER,
    REQUESTS,
    TOKEN_DRIVERS,
    USUAL,
    WHOLE,
    Capacity,
    Member,
    Split,
    UsageOptions,
)
from allocation.rules.rules import COMMITMENT, RELATED, Rule, Rules
from allocation.usage.keys import ANY_PROJECT, SAME_PROVIDER, BilledKeys, Key, reserved_key
from allocation.values.money import plain
from allocation.values.names import (
    BY_DAY,
    BY_MONTH,
    BY_REPORTS,
    FOLLOWERS,
    NO_RULE,
    OUTSIDE_SCOPE,
    canonical_cells,
)

NOBODY = Owner()


class SourceSettings(NamedTuple):
    id: int
    name: str
    project_match: str  # allocation.models.ProjectMatch
    untraced: str


# Made once: every split key has a few dozen texts.
_json_text = json.JSONEncoder(ensure_ascii=False).encode


def jsonb_text(value: Any) -> str:
    """JSON as PostgreSQL prints jsonb: shorter keys first, then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return (
            "{" + ", ".join([f"{_json_text(key)}: {jsonb_text(value[key])}" for key in keys]) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(jsonb_text, value)) + "]"
    return _json_text(value)


@dataclass(frozen=True)
class SplitKey:
    """What all charges of a split key have in common: everything their split depends on, and what
    reports group by.
    """

    source: SourceSettings
    currency: str
    rule: str
    method: str
    ai_scope: str
    provider_name: str | None
    service_name: str | None
    charge_category: str
    sub_account: str | None
    kind: str | None  # charge kind that the rule sets; None: what the method says
    key: Key | None = None  # traced usage: what traces are matched on
    token_class: str | None = None
    model: str | None = None
    # direct: who pays; follow: who pays where the resource is not known; traced and provider usage:
    # the untraced part; GPU usage: idle capacity
    owner: Owner = NOBODY
    reason: str | None = None  # unallocated: why
    stage: int = 0  # splits by other cost come after it
    split: Split | None = (
        None  # fixed, even, proportional; direct to a pool is a fixed one with one member
    )
    pools: tuple[tuple[str, Split], ...] = ()  # what the split leads through
    node: str | None = (
        None  # GPU usage: the node, by one of the names that the usage may know it by
    )
    node_id: str | None = None  # and by the other
    commitment: str | None = None  # the commitment discount that the charges buy or use
    resource: str | None = None  # one that a credit, refund or correction of the month names
    follows: str = RELATED
    by_list_cost: bool = False  # follow
    of_rules: tuple[str, ...] = ()  # follow
    usage: UsageOptions = USUAL
    is_tiered: bool = False  # a step of a free or volume tier
    is_hosting: bool = False  # keeps a model of one's own ready
    is_known: bool = True  # false: nobody knows a model of this name
    capacity: Capacity | None = None
    phase: str | None = None  # build, run, move: of whoever's share names none itself
    consumed_factor: Decimal | None = None  # tokens per ConsumedUnit; None: does not convert
    pricing_factor: Decimal | None = None

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """What stands in the column split_key: enough to explain the split, nothing that has no
        value.
        """
        key = self.key
        found: dict[str, Any] = {
            "sub_account": self.sub_account,
            "provider": key.provider if key else None,
            "project": key.project if key else None,
            "model": self.model,
            "token_class": self.token_class,
            "tier": None
            if key is None
            else "batch"
            if key.is_batch
            else "provisioned"
            if key.is_reserved
            else None,
            "region": key.region if key else None,
            "pool_cache_writes": self.usage.pool_cache_writes or None,
            "weights": "month" if self.usage.by_month else None,
            "capacity": dict(self.capacity.text) if self.capacity else None,
            "is_hosting": self.is_hosting or None,
            "is_unknown": None if self.is_known else True,
            "by": "list_cost" if self.by_list_cost else None,
            "of_rules": list(self.of_rules) or None,
            "kind": self.kind,
            "phase": self.phase,
            "reason": self.reason,
            "untraced": self.source.untraced if key else None,
            "tokens_per_consumed_unit": plain(self.consumed_factor)
            if self.consumed_factor is not None
            else None,
            "tokens_per_pricing_unit": plain(self.pricing_factor)
            if self.pricing_factor is not None
            else None,
            "split": json.loads(self.split.text) if self.split else None,
            "pools": {name: json.loads(split.text) for name, split in self.pools},
            "node": self.node,
            "node_id": self.node_id,
            "commitment": self.commitment,
            "resource": self.resource,
            ("target" if self.method == DIRECT else "owner"): {
                name: value
                for name in TARGET_FIELDS
                if (value := getattr(self.owner, name)) is not None
            },
        }
        if self.owner.team is not None:
            found["rung"] = self.owner.rung
        return {name: value for name, value in found.items() if value not in (None, {})}

    @cached_property
    def json_text(self) -> str:
        return jsonb_text(self.as_json)

    @cached_property
    def cells(self) -> str:
        """The split key's part of a canonical CSV line; contents, not ids."""
        return canonical_cells(
            (
                self.source.name,
                self.rule,
                self.method,
                self.ai_scope,
                self.provider_name,
                self.service_name,
                self.charge_category,
                self.json_text,
            )
        )

    @cached_property
    def content_hash(self) -> bytes:
        """Equal for equal split keys that are written alike, in any database: names, not ids."""
        fields = [getattr(self, name) for name in OWN_FIELDS]
        text = self.cells + repr((self.source[1:], fields))
        return hashlib.md5(text.encode(), usedforsecurity=False).digest()

    def tokens(self, consumed: Fraction | None, pricing: Fraction | None) -> Fraction | None:
        """What was billed, in tokens: ConsumedQuantity where its unit converts, else
        PricingQuantity.
        """
        for quantity, factor in zip((consumed, pricing), self._factors, strict=True):
            if quantity is not None and factor is not None:
                return quantity * factor
        return None

    @cached_property
    def _factors(self) -> tuple[Fraction | None, Fraction | None]:
        consumed, pricing = self.consumed_factor, self.pricing_factor
        return None if consumed is None else Fraction(
            consumed
        ), None if pricing is None else Fraction(pricing)

    @cached_property
    def part(self) -> int:
        """Split keys whose driver is what others were given come after those; the ones that follow
        come last.
        """
        if self.method == FOLLOW:
            return FOLLOWERS
        if self.stage:
            return BY_REPORTS + self.stage
        if not self.goes_by_month:
            return BY_DAY
        return BY_REPORTS if self.method == PROVIDER else BY_MONTH

    @property
    def goes_by_month(self) -> bool:
        """Whether the usage of the month decides on every day of it, as the rule or a tiered price
        says.
        """
        splits = (self.split, *dict(self.pools).values())
        by_calls = (
            split
            for split in splits
            if split is not None and split.driver in (REQUESTS, *TOKEN_DRIVERS)
        )
        return self.usage.by_month or any(not split.by_day for split in by_calls)


OWN_FIELDS = tuple(field.name for field in dataclass_fields(SplitKey) if field.name != "source")


class DimensionRow(NamedTuple):
    """One distinct charge dimension of one source; `variant` tells apart charges that pass
    different row tests.
    """

    source_id: int
    dimension_id: int
    variant: int
    columns: Mapping[str, Any]
    passed: frozenset[RowTest] = frozenset()

    @property
    def member(self) -> MemberKey:
        return MemberKey(self.source_id, self.dimension_id, self.variant)


class MemberKey(NamedTuple):
    """What charges are put into split keys by."""

    source_id: int
    dimension_id: int
    variant: int


def split_key_of(
    row: DimensionRow,
    *,
    source: SourceSettings,
    rules: Rules,
    month: date,
    entries: Entries = (),
    called: CalledNames = NOTHING_CALLED,
    refunded: frozenset[str] = frozenset(),
) -> SplitKey:
    """The split key that a dimension's charges fall into, by the first rule that takes it.

    `refunded` are resources that credits, refunds or corrections name; their charges stand apart,
    so that those can follow them.
    """
    facts = Facts(row.columns, row.passed, entries, called)
    rule = rules.rule_for(facts, month=month)
    scope = rules.scope_of(facts)
    columns = row.columns
    base = SplitKey(
        source=source,
        currency=columns["billing_currency"],
        rule=rule.name if rule else NO_RULE,
        method=rule.method if rule else NONE,
        ai_scope=scope,
        provider_name=columns.get("provider_name"),
        service_name=columns.get("service_name"),
        charge_category=columns["charge_category"],
        sub_account=columns.get("sub_account_id"),
        kind=rule.kind if rule else None,
        # What follows other cost is for what that is for.
        phase=None
        if scope == "other" or (rule and rule.method == FOLLOW)
        else rules.phase_of(facts),
        commitment=columns.get("commitment_discount_id")
        if rules.has_commitment_followers
        else None,
        resource=resource if (resource := columns.get("resource_id")) in refunded else None,
    )
    if rule is None:
        # Nobody's work list, but tax and support follow it like anything else.
        reason, model = (OUTSIDE_SCOPE, None) if scope == "other" else (NO_RULE, facts.line.model)
        return replace(base, reason=reason, model=model)
    if rule.method == NONE:
        return replace(base, reason=rule.reason or NO_RULE, model=facts.line.model)
    if rule.method == FOLLOW:
        return replace(
            base,
            follows=rule.follows,
            by_list_cost=rule.by_list_cost,
            of_rules=rule.of_rules,
            owner=rule.owner(facts),
        )
    if rule.method in BY_USAGE:
        return _usage_split_key(base, rule, facts)
    if rule.method == GPU:
        name, resource = columns.get("resource_name"), columns.get("resource_id")
        return replace(
            base, node=name or resource, node_id=resource if name else None, owner=rule.owner(facts)
        )
    base = replace(
        base,
        model=facts.line.model,
        is_hosting=facts.line.is_hosting,
        stage=rules.stages[rule.name],
    )
    if rule.split is None and rule.pool is None:
        return replace(base, owner=rule.target(facts))
    split = rule.split or into_pool(rule.pool or "")
    return replace(base, method=split.method, split=split, pools=_pools_of(split, rules.pools))


def _usage_split_key(base: SplitKey, rule: Rule, facts: Facts) -> SplitKey:
    line, source = facts.line, base.source
    provider = SAME_PROVIDER.get(line.provider or "", line.provider)
    project = ANY_PROJECT if source.project_match == ProjectMatch.OFF else line.project
    if rule.method == CAPACITY:
        key = reserved_key(provider, project, line.model)
        return replace(
            base, key=key, model=line.model, owner=rule.owner(facts), capacity=rule.capacity
        )
    region = line.region if rule.usage.by_region else None
    return replace(
        base,
        key=Key(provider, project, line.model, line.tier == "batch", region=region),
        usage=rule.usage,
        is_tiered=line.is_tiered,
        is_known=line.is_known,
        token_class=line.token_class,
        model=line.model,
        owner=rule.owner(facts),
        consumed_factor=line.tokens_per_consumed_unit,
        pricing_factor=line.tokens_per_pricing_unit,
    )


def into_pool(pool: str) -> Split:
    """All of it into one pool."""
    text = json.dumps({"method": FIXED, "shares": [{"pool": pool, "share": 100}]})
    return Split(FIXED, text, members=(Member(NOBODY, pool, WHOLE),))


def _pools_of(split: Split, pools: Mapping[str, Split]) -> tuple[tuple[str, Split], ...]:
    """Every pool that the split leads through, by name."""
    found: dict[str, Split] = {}
    left = list(split.pools)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = pools[name]
            left += pools[name].pools
    return tuple(sorted(found.items()))


M = TypeVar("M")


def beside_others(split_keys: Mapping[M, SplitKey]) -> dict[M, SplitKey]:
    """The split keys with what each is because of the others of its currency.

    Tax, credits and support that follow AI spend are AI support themselves; those that follow none
    are other. Steps of one tiered price are one price for all who used it in the month, whoever's
    calls fell on which step.
    """
    related: set[tuple[str, Level]] = set()
    tiered: set[tuple[str, Key | None, str | None]] = set()
    for split_key in split_keys.values():
        if split_key.method != FOLLOW and split_key.ai_scope != "other":
            related.update((split_key.currency, level) for level in levels_of(split_key))
        if split_key.is_tiered:
            tiered.add(_priced(split_key))

    def settled(split_key: SplitKey) -> SplitKey:
        if split_key.method == FOLLOW:
            levels = [level for level in followed_levels(split_key) if level.name != "source"]
            if split_key.ai_scope == "other" and any(
                (split_key.currency, level) in related for level in levels
            ):
                return replace(split_key, ai_scope="ai_supporting")
        elif split_key.key and not split_key.usage.by_month and _priced(split_key) in tiered:
            return replace(split_key, usage=replace(split_key.usage, by_month=True))
        return split_key

    changed = {split_key: settled(split_key) for split_key in dict.fromkeys(split_keys.values())}
    return {member: changed[split_key] for member, split_key in split_keys.items()}


def _priced(split_key: SplitKey) -> tuple[str, Key | None, str | None]:
    return split_key.currency, split_key.key, split_key.token_class


RESOURCE = "resource"


class Level(NamedTuple):
    """Charges that something may follow together: those of one service in one account, of one
    account ...
    """

    name: str
    key: tuple[object, ...]


def levels_of(split_key: SplitKey) -> tuple[Level, ...]:
    """What a split key can be followed by, narrow to wide; a level whose column is missing is left
    out.
    """
    source, provider, account = split_key.source.id, split_key.provider_name, split_key.sub_account
    levels = []
    if split_key.commitment:
        levels.append(Level(COMMITMENT, (source, split_key.commitment)))
    if split_key.resource:
        levels.append(Level(RESOURCE, (source, split_key.resource)))
    if account and split_key.service_name:
        levels.append(Level("service", (source, provider, account, split_key.service_name)))
    if account:
        levels.append(Level("sub-account", (source, provider, account)))
    levels += [Level("provider", (source, provider)), Level("source", (source,))]
    return tuple(levels)


def followed_levels(split_key: SplitKey) -> tuple[Level, ...]:
    """Where a split key that follows looks, narrow to wide: a commitment's users only, or what else
    it relates to.
    """
    wants_commitment = split_key.follows == COMMITMENT
    return tuple(
        level for level in levels_of(split_key) if (level.name == COMMITMENT) == wants_commitment
    )


def billed_keys(split_keys: Iterable[SplitKey]) -> BilledKeys:
    """What these lines tell apart: batch, reserved and regional calls, and projects."""
    separate: set[Key] = set()
    projects: dict[str | None, set[str]] = {}
    for split_key in split_keys:
        key, is_placed = split_key.key, split_key.source.project_match == ProjectMatch.AUTO
        if key is None:
            continue
        if key.is_batch or key.is_reserved or key.region is not None:
            separate |= {key, key._replace(project=None)} if is_placed else {key}
        if is_placed:
            projects.setdefault(key.provider, set()).update([key.project] if key.project else [])
    return BilledKeys(
        frozenset(separate), {provider: frozenset(own) for provider, own in projects.items()}
    )
