"""The names that daily costs are summed under, each distinct combination once in the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from allocation.charges.split_keys import SplitKey
from allocation.models import CostLine
from allocation.organisation.targets import Target
from allocation.rules.methods import FOLLOW
from allocation.storage.rows import ensure_rows
from allocation.values.names import OUTSIDE_SCOPE, canonical_cells


class Names(NamedTuple):
    """One row of cost_line."""

    currency: str
    source_id: int
    ai_scope: str
    provider_name: str | None
    service_name: str | None
    team: str | None
    product: str | None
    feature: str | None
    model: str | None
    environment: str | None
    phase: str | None
    charge_kind: str
    rule: str
    reason: str | None
    with_invoice: str | None = None  # what of it; None: day by day

    def content_hash(self) -> bytes:
        return _digest(self)

    def chargeback_key(self) -> UUID:
        """The chargeback file knows neither AI scope, nor the reason of unallocated cost, nor what
        comes with the invoice.
        """
        return UUID(bytes=_digest(self._replace(ai_scope="", reason=None)[:-1]))

    def columns(self) -> dict[str, object]:
        return {"chargeback_key": self.chargeback_key(), **self._asdict()}


@lru_cache(maxsize=100_000)  # runs have the same lines over and over
def _digest(names: tuple[str | int | None, ...]) -> bytes:
    cells = [None if value is None else str(value) for value in names]
    return hashlib.md5(canonical_cells(cells).encode(), usedforsecurity=False).digest()


SUPPORT = "support"
# What comes with the invoice, by its ChargeCategory; support is usage to FOCUS.
OF_CATEGORY = {"Tax": "tax", "Credit": "credit", "Adjustment": "adjustment", "Purchase": "fee"}
FOLLOWING = frozenset({"tax", "credit", "adjustment"})  # kinds of charge


def with_invoice(split_key: SplitKey) -> str | None:
    """What the charges of a split key are where they come with the invoice, so that a running month
    lacks them; None where they come day by day.

    Discounts and corrections are billed as usage: a rule that lets them follow other charges gives
    them their kind.
    """
    found = OF_CATEGORY.get(split_key.charge_category)
    if found is None and split_key.method == FOLLOW and split_key.kind in FOLLOWING:
        found = split_key.kind
    return found or (SUPPORT if _is_support(split_key) else None)


def _is_support(split_key: SplitKey) -> bool:
    """A support plan, by its service, or by the rule that lets it follow what it covers."""
    if split_key.key is not None:
        return False
    names = [split_key.service_name or "", split_key.rule if split_key.method == FOLLOW else ""]
    return any(SUPPORT in name.lower() for name in names)


# Source, AI scope, provider, service, rule, phase, what comes with the invoice.
SplitKeyNames = tuple[int, str, str | None, str | None, str, str | None, str | None]
LineKey = tuple[int, int, str]  # class of the split key, class of the target, charge kind


class LineBook:
    """Lines of one run. Split keys and targets that look alike to pages are one class each."""

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.ids: dict[LineKey, int] = {}
        self._split_keys: dict[SplitKeyNames, int] = {}
        self._targets: dict[Target, int] = {}
        self._class_of: list[int] = []

    def split_key_class(self, split_key: SplitKey) -> int:
        names = (
            split_key.source.id,
            split_key.ai_scope,
            split_key.provider_name,
            split_key.service_name,
            split_key.rule,
            split_key.phase,
            with_invoice(split_key),
        )
        return self._split_keys.setdefault(names, len(self._split_keys))

    def target_classes(self, targets: Sequence[Target]) -> list[int]:
        """The class of each target, by its number."""
        for target in targets[len(self._class_of) :]:
            alike = target._replace(customer=None, partner_team=None, partner_feature=None)
            self._class_of.append(self._targets.setdefault(alike, len(self._targets)))
        return self._class_of

    def settle(self, keys: Iterable[LineKey]) -> None:
        """Give these lines database ids."""
        new = sorted(set(keys) - self.ids.keys())
        split_keys, targets = list(self._split_keys), list(self._targets)
        names = []
        for split_key, target, kind in new:
            source, scope, provider, service, rule, phase, invoice = split_keys[split_key]
            of = targets[target]
            names.append(
                Names(
                    currency=self.currency,
                    source_id=source,
                    ai_scope="other" if of.reason == OUTSIDE_SCOPE else scope,
                    provider_name=provider,
                    service_name=service,
                    team=of.team,
                    product=of.product,
                    feature=of.feature,
                    model=of.model,
                    environment=of.environment,
                    phase=of.phase or phase,
                    charge_kind=kind,
                    rule=rule,
                    reason=of.reason,
                    with_invoice=invoice,
                )
            )
        self.ids.update(zip(new, ensure_lines(names), strict=True))


def ensure_lines(lines: Sequence[Names]) -> list[int]:
    """Ids of these lines, made where they are new."""
    keys = [(names.content_hash(),) for names in lines]
    ids = ensure_rows(CostLine, dict(zip(keys, lines, strict=True)), Names.columns)
    return [ids[key] for key in keys]
