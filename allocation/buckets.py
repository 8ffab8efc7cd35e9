"""Charges with equal rule and split key form a bucket; with a day, a charge group. Rules see each dimension once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from allocation.conditions import Facts
from allocation.drivers import ANY_PROJECT, SAME_PROVIDER, Key
from allocation.money import plain
from allocation.owners import TARGET_FIELDS, Owner
from allocation.rules import Rules
from allocation.targets import NO_RULE, OUTSIDE_SCOPE, canonical_cells

NOBODY = Owner()
TRACED, DIRECT, FOLLOW, NONE = "traced_usage", "direct", "follow", "unallocated"


class SourceSettings(NamedTuple):
    id: int
    name: str
    project_match: bool
    untraced: str


def jsonb_text(value: Any) -> str:
    """JSON as PostgreSQL prints jsonb: shorter keys first, then by bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {jsonb_text(value[key])}" for key in keys) + "}"
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Bucket:
    """What all charges of a bucket have in common: everything their split depends on, and what reports group by."""

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
    owner: Owner = NOBODY  # direct: who pays; traced usage: who gets the untraced part
    reason: str | None = None  # unallocated: why
    consumed_factor: Decimal | None = None  # tokens per ConsumedUnit; None: does not convert
    pricing_factor: Decimal | None = None

    @cached_property
    def split_key(self) -> dict[str, Any]:
        """What stands in charge_bucket.split_key: enough to explain the split, nothing that has no value."""
        key = self.key
        found: dict[str, Any] = {
            "sub_account": self.sub_account,
            "provider": key.provider if key else None,
            "project": key.project if key else None,
            "model": self.model,
            "token_class": self.token_class,
            "tier": "batch" if key and key.is_batch else None,
            "kind": self.kind,
            "reason": self.reason,
            "untraced": self.source.untraced if key else None,
            "tokens_per_consumed_unit": plain(self.consumed_factor) if self.consumed_factor is not None else None,
            "tokens_per_pricing_unit": plain(self.pricing_factor) if self.pricing_factor is not None else None,
            ("owner" if key else "target"): {
                name: value for name in TARGET_FIELDS if (value := getattr(self.owner, name)) is not None
            },
        }
        if self.owner.team is not None:
            found["rung"] = self.owner.rung
        return {name: value for name, value in found.items() if value not in (None, {})}

    @cached_property
    def split_key_text(self) -> str:
        return jsonb_text(self.split_key)

    @cached_property
    def cells(self) -> str:
        """The bucket's part of a canonical CSV line; contents, not ids."""
        return canonical_cells(
            (
                self.source.name,
                self.rule,
                self.method,
                self.ai_scope,
                self.provider_name,
                self.service_name,
                self.charge_category,
                self.split_key_text,
            )
        )

    @property
    def order(self) -> tuple[bool, str]:
        """Buckets that follow others come last: their driver is what the others were given."""
        return (self.method == FOLLOW, self.cells)


class DimensionRow(NamedTuple):
    """One distinct charge dimension of one source."""

    source_id: int
    dimension_id: int
    columns: Mapping[str, Any]


def bucket_of(row: DimensionRow, *, source: SourceSettings, rules: Rules, month: date) -> Bucket:
    """The bucket that a dimension's charges fall into, by the first rule that takes it."""
    facts = Facts(row.columns)
    rule = rules.rule_for(facts, month=month)
    scope = rules.scope_of(facts)
    columns = row.columns
    base = Bucket(
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
    )
    if rule is None or rule.method == NONE:
        if scope == "other" and rule is None:  # nobody's work list, but tax and support follow it like anything else
            return replace(base, reason=OUTSIDE_SCOPE)
        return replace(base, reason=(rule.reason if rule else None) or NO_RULE, model=facts.line.model)
    if rule.method == DIRECT:
        return replace(base, owner=rule.target(facts), model=facts.line.model)
    if rule.method == FOLLOW:
        return base
    line = facts.line
    provider = SAME_PROVIDER.get(line.provider or "", line.provider)
    project = line.project if source.project_match else ANY_PROJECT
    return replace(
        base,
        key=Key(provider, project, line.model, line.tier == "batch"),
        token_class=line.token_class,
        model=line.model,
        owner=rule.owner(facts),
        consumed_factor=line.tokens_per_consumed_unit,
        pricing_factor=line.tokens_per_pricing_unit,
    )


def with_follower_scopes(buckets: Mapping[tuple[int, int], Bucket]) -> dict[tuple[int, int], Bucket]:
    """Tax, credits and support that follow AI spend are AI support themselves; those that follow none are other."""
    related: set[tuple[object, ...]] = set()
    for bucket in buckets.values():
        if bucket.method != FOLLOW and bucket.ai_scope != "other":
            related.update(followed_keys(bucket))
    changed: dict[Bucket, Bucket] = {}

    def scoped(bucket: Bucket) -> Bucket:
        if bucket not in changed:
            follows_ai = any(key in related for key in followed_keys(bucket) if len(key) > 1)
            scope = bucket.ai_scope if bucket.ai_scope != "other" else "ai_supporting" if follows_ai else "other"
            changed[bucket] = replace(bucket, ai_scope=scope)
        return changed[bucket]

    return {member: scoped(bucket) if bucket.method == FOLLOW else bucket for member, bucket in buckets.items()}


def followed_keys(bucket: Bucket) -> tuple[tuple[object, ...], ...]:
    """What a bucket is related by, narrow to wide; a level whose column is missing is left out."""
    source, provider = bucket.source.id, bucket.provider_name
    keys: list[tuple[object, ...]] = []
    if bucket.sub_account and bucket.service_name:
        keys.append((source, provider, bucket.sub_account, bucket.service_name))
    if bucket.sub_account:
        keys.append((source, provider, bucket.sub_account))
    keys.append((source, provider))
    keys.append((source,))
    return tuple(keys)


def batch_keys(buckets: Iterable[Bucket]) -> frozenset[Key]:
    """Keys with a batch line on the bill: batch calls stand apart only where the bill keeps them apart."""
    return frozenset(bucket.key for bucket in buckets if bucket.key and bucket.key.is_batch)


def numbered(buckets: Iterable[Bucket]) -> dict[Bucket, int]:
    """Numbers from 1 in canonical order."""
    return {bucket: number for number, bucket in enumerate(sorted(set(buckets), key=lambda b: b.order), 1)}
