"""Why did the cost change? Parts that make the difference exactly, in the order a reader asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from reports.cost_question.answers import SpendCell
from reports.queries.costs.calls import UsageCell

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
    "Ended",
    "Volume",
    "Tokens per call",
    "Model mix",
    "Price",
    "Not traced",
    "Idle capacity",
    "Unused commitments",
    "Unallocated",
    "Tax",
    "Adjustments",
    "Credits",
)
MEANING = {
    "New": "features without cost in the compared period",
    "Ended": "features without cost in this period",
    "Volume": "more or fewer calls, at the earlier cost per call",
    "Tokens per call": "longer or shorter calls, at the earlier cost per token",
    "Model mix": "tokens moved between models, at the earlier cost per token of each",
    "Price": "cost per token of the same model, discounts and cached share included",
    "Not traced": "cost of features whose calls are not counted in both periods",
    "Idle capacity": "capacity nobody asked for",
    "Unused commitments": "commitments paid and not used",
    "Unallocated": "cost without an owner",
    "Tax": "tax lines",
    "Adjustments": "adjustments and rounding by the provider",
    "Credits": "credits and refunds",
}


@dataclass(frozen=True)
class ChangePart:
    label: str
    amount: Decimal

    @property
    def meaning(self) -> str:
        return MEANING[self.label]


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
    """The parts whose sum is exactly now minus before; parts of nothing are left out.

    Per (team, feature), with calls C, tokens T, cost K, models m, and 0 for before: volume = K0
    (C1/C0 - 1); tokens per call = K0 (T1/T0 - C1/C0); mix = sum T1m p0m - K0 T1/T0, where p0m =
    K0m/T0m (p1m for a model without tokens before); price is the rest, so that rounding at twelve
    places can't lose anything.
    """
    with localcontext(prec=200):
        sums = _sums(cells, usage)
    return [ChangePart(label, sums[label]) for label in ORDER if sums[label] != 0]


def _sums(cells: Iterable[SpendCell], usage: Iterable[UsageCell]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    features: dict[tuple[str | None, str | None], _FeatureUse] = defaultdict(_FeatureUse)
    for cell in cells:
        if cell.kind in APART:
            sums[APART[cell.kind]] += cell.now - cell.before
        else:
            use = features[cell.team, cell.feature].models[cell.model]
            use.cost += cell.now
            use.cost_before += cell.before
    for used in usage:
        feature = features.get((used.team, used.feature))
        # Calls of models that cost nothing here are billed in another currency, or not at all.
        if feature is not None and used.model in feature.models:
            feature.calls += used.calls
            feature.calls_before += used.calls_before
            feature.models[used.model].tokens += used.tokens
            feature.models[used.model].tokens_before += used.tokens_before
    for feature in features.values():
        for label, amount in _feature_parts(feature).items():
            sums[label] += amount
    return sums


def _feature_parts(feature: _FeatureUse) -> dict[str, Decimal]:
    models = feature.models.values()
    now = sum((model.cost for model in models), ZERO)
    before = sum((model.cost_before for model in models), ZERO)
    if before == 0 or now == 0:
        return {"New" if before == 0 else "Ended": now - before}
    tokens = sum((model.tokens for model in models), ZERO)
    tokens_before = sum((model.tokens_before for model in models), ZERO)
    if not (feature.calls > 0 and feature.calls_before > 0 and tokens > 0 and tokens_before > 0):
        return {"Not traced": now - before}
    calls_ratio = feature.calls / feature.calls_before
    tokens_ratio = tokens / tokens_before
    volume = (before * (calls_ratio - 1)).quantize(QUANTUM)
    per_call = (before * (tokens_ratio - calls_ratio)).quantize(QUANTUM)
    at_earlier_price = sum((_at_earlier_price(model) for model in models), ZERO)
    mix = (at_earlier_price - before * tokens_ratio).quantize(QUANTUM)
    price = now - before - volume - per_call - mix
    return {"Volume": volume, "Tokens per call": per_call, "Model mix": mix, "Price": price}


def _at_earlier_price(model: _ModelUse) -> Decimal:
    """This period's tokens of a model at its earlier cost per token; its own cost where there is no
    earlier one.
    """
    if model.tokens_before > 0:
        return model.tokens * model.cost_before / model.tokens_before
    return model.cost
