"""Sums of spend cells: by one dimension, by kind, and what a thousand calls cost. Plain values, no
database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple, Protocol, TypeVar

from allocation.values.money import EXACT
from reports.cost_question.answers import SpendCell, UsageCell

ZERO = Decimal(0)
BUILD = "build"  # the phase of one-off work
K = TypeVar("K")


@dataclass(frozen=True)
class Amounts:
    """`left_out` is what of `now` is not like for like with `before`."""

    now: Decimal
    before: Decimal
    left_out: Decimal = ZERO

    @property
    def compared(self) -> Decimal:
        return EXACT.subtract(self.now, self.left_out)


NOTHING = Amounts(ZERO, ZERO)


def total_of(cells: Iterable[SpendCell]) -> Amounts:
    return totals_by(cells, lambda _: None).get(None, NOTHING)


class Costed(Protocol):
    """Cost in two periods."""

    @property
    def now(self) -> Decimal: ...

    @property
    def before(self) -> Decimal: ...

    @property
    def left_out(self) -> Decimal: ...


C = TypeVar("C", bound=Costed)


def totals_by(cells: Iterable[C], key: Callable[[C], K]) -> dict[K, Amounts]:
    """Sums per key, largest now first, ties by the key's text."""
    now: dict[K, Decimal] = {}
    before: dict[K, Decimal] = {}
    left_out: dict[K, Decimal] = {}
    with localcontext(EXACT):
        for cell in cells:
            name = key(cell)
            now[name] = now.get(name, ZERO) + cell.now
            before[name] = before.get(name, ZERO) + cell.before
            left_out[name] = left_out.get(name, ZERO) + cell.left_out
    ordered = sorted(now, key=lambda name: (-now[name], str(name)))
    return {name: Amounts(now[name], before[name], left_out[name]) for name in ordered}


@dataclass(frozen=True)
class UnitCost:
    """Model cost of a thousand calls, None where there were no calls or no cost of theirs; `calls`
    are all of them.
    """

    now: Decimal | None
    before: Decimal | None
    calls: Decimal
    calls_before: Decimal


class CallerCost(NamedTuple):
    """The calls of one model by one feature of a team, and their cost, in both periods."""

    team: str | None
    feature: str | None
    model: str | None
    calls: Decimal
    calls_before: Decimal
    cost: Decimal
    cost_before: Decimal


def caller_costs(cells: Iterable[SpendCell], usage: Iterable[UsageCell]) -> list[CallerCost]:
    """Every caller with calls, and what these cost: in an open month without what comes with its
    invoice, as in what it is compared with.

    What a feature costs besides (GPUs, storage, a vector database) is no cost of its calls, and
    what was done once to build it (a backfill of embeddings, an evaluation) neither.
    """
    paid = [cell for cell in cells if cell.model and cell.phase != BUILD]
    used = [use for use in usage if use.team and use.feature and use.phase != BUILD]
    costs = totals_by(paid, _caller)
    calls: dict[Caller, tuple[Decimal, Decimal]] = {}
    with localcontext(EXACT):
        for use in used:
            now, before = calls.get(_caller(use), (ZERO, ZERO))
            calls[_caller(use)] = (now + use.calls, before + use.calls_before)
    return [
        CallerCost(*caller, now, before, cost.compared, cost.before)
        for caller, (now, before) in calls.items()
        for cost in [costs.get(caller, NOTHING)]
    ]


Caller = tuple[str | None, str | None, str | None]  # team, feature, model


def _caller(row: SpendCell | UsageCell) -> Caller:
    return row.team, row.feature, row.model


@dataclass
class _Made:
    """Calls of one period under one key, and those that the cost beside them is of."""

    calls: Decimal = ZERO
    paid_calls: Decimal = ZERO
    cost: Decimal = ZERO

    def add(self, calls: Decimal, cost: Decimal) -> None:
        self.calls += calls
        self.paid_calls += calls if cost else ZERO
        self.cost += cost if calls else ZERO

    @property
    def per_thousand(self) -> Decimal | None:
        return self.cost * 1000 / self.paid_calls if self.paid_calls > 0 and self.cost else None


def unit_costs(
    callers: Iterable[CallerCost], key: Callable[[CallerCost], str | None]
) -> dict[str | None, UnitCost]:
    """Per key: cost of the callers that have both cost and calls in a period, over these calls,
    x 1,000. Calls of a model that is billed in another currency, or not at all, are no calls of
    this cost.
    """
    made: dict[str | None, tuple[_Made, _Made]] = {}
    with localcontext(EXACT):
        for caller in callers:
            now, before = made.setdefault(key(caller), (_Made(), _Made()))
            now.add(caller.calls, caller.cost)
            before.add(caller.calls_before, caller.cost_before)
    return {
        name: UnitCost(now.per_thousand, before.per_thousand, now.calls, before.calls)
        for name, (now, before) in made.items()
    }


ZERO = Decimal(0)
QUANTUM = Decimal(1).scaleb(-12)

# Kinds that do not follow use; every other kind is looked at feature by feature.
APART = {
    "credit": "Credits",
    "tax": "Tax",
    "adjustment": "Adjustments",
    "commitment_unused": "Unused commitments",
    "idle": "Idle capacity",
    "unallocated": "Unallocated",
}
ORDER = (
    "New",
    "Gone",
    "Volume",
    "Tokens per call",
    "Model mix",
    "Price",
    "GPU and infrastructure",
    "No trace",
    "Idle capacity",
    "Unused commitments",
    "Unallocated",
    "Tax",
    "Adjustments",
    "Credits",
)
MEANING = {
    "New": "features without cost in the compared period",
    "Gone": "features without cost in this period",
    "Volume": "more or fewer calls, at the earlier cost per call",
    "Tokens per call": "longer or shorter calls, at the earlier cost per token",
    "Model mix": "tokens moved between models, at the earlier cost per token of each",
    "Price": "cost per token of the same model, discounts and cached share included",
    "GPU and infrastructure": "cost of features that bills name no model for",
    "No trace": "cost of models whose calls are not counted in both periods",
    "Idle capacity": "capacity nobody asked for",
    "Unused commitments": "commitments paid and not used",
    "Unallocated": "cost without an owner",
    "Tax": "tax lines",
    "Adjustments": "adjustments and rounding by the provider",
    "Credits": "credits and refunds",
}


MEANING_OF_ONE = {
    "New": "new: no cost in the compared period",
    "Gone": "gone: no cost in this period",
    "GPU and infrastructure": "bills name no model for it",
    "No trace": "its calls are not counted in both periods",
}
NAMED = ("New", "Gone", "GPU and infrastructure", "No trace")  # told by feature
MOST_NAMED = 4
Subject = tuple[str | None, str | None]  # team, feature
ChangeName = tuple[str, Subject | None]


@dataclass(frozen=True)
class ChangePart:
    """`subject` is whose change it is, where one feature's is told by itself."""

    label: str
    amount: Decimal
    subject: Subject | None = None

    is_rest: bool = False  # beside features that are told by themselves

    @property
    def meaning(self) -> str:
        return (MEANING_OF_ONE if self.subject else MEANING)[self.label]


@dataclass
class _ModelUse:
    cost: Decimal = ZERO
    cost_before: Decimal = ZERO
    tokens: Decimal = ZERO
    tokens_before: Decimal = ZERO


@dataclass
class _FeatureUse:
    calls: Decimal = ZERO
    calls_before: Decimal = ZERO

    def __post_init__(self) -> None:
        self.models: dict[str | None, _ModelUse] = defaultdict(_ModelUse)


def why_changed(cells: Iterable[SpendCell], usage: Iterable[UsageCell]) -> list[ChangePart]:
    """The parts whose sum is exactly what is compared of now, minus before; parts of nothing are
    left out.

    Per (team, feature), with calls C, tokens T, cost K, models m, and 0 for before: volume = K0
    (C1/C0 - 1); tokens per call = K0 (T1/T0 - C1/C0); mix = sum T1m p0m - K0 T1/T0, where p0m =
    K0m/T0m (p1m for a model without tokens before); price is the rest, so that rounding at twelve
    places can't lose anything.
    """
    with localcontext(prec=200):
        sums = _sums(cells, usage)
        parts = _told_apart(sums)
    return [part for part in parts if part.amount != 0]


def _told_apart(sums: Mapping[ChangeName, Decimal]) -> list[ChangePart]:
    """In order; the largest changes of single features by themselves, the smaller ones together."""
    named = [name for name, amount in sums.items() if name[1] is not None and amount]
    largest = sorted(named, key=lambda name: (-abs(sums[name]), str(name)))[:MOST_NAMED]
    parts = [ChangePart(label, sums[label, subject], subject) for label, subject in largest]
    told = {label for label, _ in largest}
    for label in ORDER:
        rest = [sums[name] for name in sums if name[0] == label and name not in largest]
        parts.append(ChangePart(label, sum(rest, ZERO), is_rest=label in told))
    return parts


def _sums(cells: Iterable[SpendCell], usage: Iterable[UsageCell]) -> dict[ChangeName, Decimal]:
    sums: dict[ChangeName, Decimal] = defaultdict(Decimal)
    features: dict[Subject, _FeatureUse] = defaultdict(_FeatureUse)
    for cell in cells:
        if cell.kind in APART:
            sums[APART[cell.kind], None] += cell.compared - cell.before
        else:
            use = features[cell.team, cell.feature].models[cell.model]
            use.cost += cell.compared
            use.cost_before += cell.before
    for used in usage:
        feature = features.get((used.team, used.feature))
        # Calls of models that cost nothing here are billed in another currency, or not at all.
        if feature is not None and used.model in feature.models:
            feature.calls += used.calls
            feature.calls_before += used.calls_before
            feature.models[used.model].tokens += used.tokens
            feature.models[used.model].tokens_before += used.tokens_before
    for subject, feature in features.items():
        for label, amount in _feature_parts(feature).items():
            sums[label, subject if label in NAMED else None] += amount
    return sums


def _feature_parts(feature: _FeatureUse) -> dict[str, Decimal]:
    models = feature.models.values()
    now = sum((model.cost for model in models), ZERO)
    before = sum((model.cost_before for model in models), ZERO)
    if before == 0 or now == 0:
        return {"New" if before == 0 else "Gone": now - before}
    tokens = sum((model.tokens for model in models), ZERO)
    tokens_before = sum((model.tokens_before for model in models), ZERO)
    if not (feature.calls > 0 and feature.calls_before > 0 and tokens > 0 and tokens_before > 0):
        return {_without_calls(feature): now - before}
    calls_ratio = feature.calls / feature.calls_before
    tokens_ratio = tokens / tokens_before
    volume = (before * (calls_ratio - 1)).quantize(QUANTUM)
    per_call = (before * (tokens_ratio - calls_ratio)).quantize(QUANTUM)
    at_earlier_price = sum((_at_earlier_price(model) for model in models), ZERO)
    mix = (at_earlier_price - before * tokens_ratio).quantize(QUANTUM)
    price = now - before - volume - per_call - mix
    return {"Volume": volume, "Tokens per call": per_call, "Model mix": mix, "Price": price}


def _without_calls(feature: _FeatureUse) -> str:
    """What cost is called whose calls are not counted: bills of machines name no model."""
    return "No trace" if any(feature.models) else "GPU and infrastructure"


def _at_earlier_price(model: _ModelUse) -> Decimal:
    """This period's tokens of a model at its earlier cost per token; its own cost where there is no
    earlier one.
    """
    if model.tokens_before > 0:
        return model.tokens * model.cost_before / model.tokens_before
    return model.cost
