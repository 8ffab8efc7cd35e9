"""The causes of a gap in words: each with its amount, the evidence in a sentence with numbers, and
the fix. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from allocation.values.money import minor_units
from reports.analysis.gap import (
    CAUSES,
    INPUT_COLUMNS,
    OUTPUT_CLASSES,
    OUTPUT_COLUMNS,
    CauseKey,
    ComparedModel,
    Gap,
)
from reports.readable import count, grouped, money, percent, ratio

ZERO = Decimal(0)

LABELS: dict[CauseKey, str] = {
    "untraced": "Calls without a trace",
    "silent": "Calls without token count",
    "cached": "Cached tokens",
    "reasoning": "Reasoning tokens",
    "batch": "Batch tier",
    "prices": "Price list age",
    "discount": "Negotiated discount",
    "credit": "Credit",
    "late": "Late bill",
    "rounding": "Rounding",
    "remainder": "Remainder",
}


@dataclass(frozen=True)
class NamedCause:
    """One line of the gap. `amount` is in the bill's currency; `page` names a page where the fix
    begins.
    """

    key: CauseKey
    label: str
    amount: Decimal
    evidence: str
    fix: str
    page: str | None = None


def causes_of(gap: Gap) -> tuple[NamedCause, ...]:
    """Every cause that can be told, also those of zero, remainder last; the amounts add up to
    `gap.total`.
    """
    return tuple(
        NamedCause(key, LABELS[key], gap.amounts[key], EVIDENCE[key](gap), *_fix(gap, key))
        for key in CAUSES
        if key in gap.amounts
    )


# ---------------------------------------------------------------- evidence


def _untraced(gap: Gap) -> str:
    models = gap.bill.models
    billed = sum((model.billed_tokens for model in models), ZERO)
    traced = sum((model.traced_tokens for model in models), ZERO)
    text = f"{count(billed)} tokens on the bill, {count(traced)} traced"
    text += f" ({percent(ratio(traced, billed))})" if billed else ""
    dark = [model for model in models if model.lines and not model.calls]
    if dark:
        cost = sum((line.billed_cost for model in dark for line in model.lines), ZERO)
        text += f"; {_number(len(dark), 'pair')} of model and project invoiced at"
        text += f" {_amount(gap, cost)} without any trace"
    amounts = [amount for _, amount in gap.by_model["untraced"]]
    more, less = [a for a in amounts if a > 0], [a for a in amounts if a < 0]
    if more and less:
        text += f". Too little is traced for {_number(len(more), 'pair')} of model and project"
        text += f" ({_amount(gap, sum(more, ZERO))}), too much for {grouped(len(less))}"
        text += f" ({_amount(gap, -sum(less, ZERO))})"
    return f"{text}.{_largest(gap, 'untraced')}"


def _silent(gap: Gap) -> str:
    calls, silent = _sum(gap, lambda m: m.calls), _sum(gap, lambda m: m.silent_calls)
    if not silent:
        return f"All {count(calls)} traced calls that succeeded have their token count."
    share = percent(ratio(silent, calls))
    text = (
        f"{count(silent)} of {count(calls)} traced calls ({share}) succeeded without token count."
    )
    return text + _largest(gap, "silent")


def _cached(gap: Gap) -> str:
    cached = frozenset(name for name in INPUT_COLUMNS if name.startswith("cache"))
    classes = frozenset(
        line.token_class or ""
        for line in gap.bill.lines
        if (line.token_class or "").startswith("cache")
    )
    billed = ratio(_sum(gap, lambda m: m.billed_of(classes)), _sum(gap, _billed_input))
    traced = ratio(
        _sum(gap, lambda m: m.tokens_of(cached)), _sum(gap, lambda m: m.tokens_of(INPUT_COLUMNS))
    )
    if not billed and not traced:
        return "No cached tokens on the bill or in the traces."
    text = (
        f"{percent(billed)} of the bill's input is cached, {percent(traced)} of the traced input."
    )
    return text + _largest(gap, "cached")


def _reasoning(gap: Gap) -> str:
    thinking = [model for model in gap.bill.models if model.reasons]
    if not thinking:
        return "No reasoning tokens on the bill or in the traces."
    output = sum((model.billed_of(OUTPUT_CLASSES) for model in thinking), ZERO)
    traced = sum((model.tokens_of(OUTPUT_COLUMNS) for model in thinking), ZERO)
    thought = sum((model.tokens_of({"reasoning"}) for model in thinking), ZERO)
    return (
        f"Models that reason: {count(output)} output tokens on the bill, {count(traced)} traced,"
        f" {count(thought)} of them reasoning.{_largest(gap, 'reasoning')}"
    )


def _batch(gap: Gap) -> str:
    batch = sum((line.quantity or ZERO for line in gap.bill.lines if line.is_batch), ZERO)
    calls = _sum(gap, lambda m: m.batch_calls)
    if not batch and not calls:
        return "No batch lines on the bill and no batch calls in the traces."
    text = f"{count(batch)} tokens billed as batch, {count(calls)} calls traced as batch."
    return text + _largest(gap, "batch")


def _prices(gap: Gap) -> str:
    unpriced = [model for model in gap.bill.models if model.unpriced_calls]
    text = "The bill's list prices against the price list that the traces were priced by."
    if unpriced:
        calls = sum((model.unpriced_calls for model in unpriced), ZERO)
        names = ", ".join(sorted({model.model or "no name" for model in unpriced})[:3])
        text = f"{count(calls)} traced calls have no list price ({names}). {text}"
    silent = sum(1 for line in gap.bill.lines if line.list_cost is None)
    if silent:
        text += f" {_number(silent, 'line')} of the bill without list cost."
    return f"{text}{_largest(gap, 'prices')}"


def _discount(gap: Gap) -> str:
    known = [
        line
        for line in gap.bill.lines
        if line.list_cost is not None and line.contracted_cost is not None
    ]
    listed = sum((line.listed for line in known), ZERO)
    contracted = sum((line.contracted for line in known), ZERO)
    if not listed:
        return "The bill states no list and contracted cost to compare."
    less = listed - contracted
    words = (
        f"{percent(ratio(less, listed))} below" if less > 0 else "equal to" if not less else "above"
    )
    text = f"Contracted cost of {_amount(gap, contracted)} is {words}"
    text += f" the bill's list cost of {_amount(gap, listed)}."
    rest = sum(1 for line in gap.bill.lines if line.contracted_cost is None)
    return (
        f"{text} {_number(rest, 'line')} without contracted cost: invoiced cost taken."
        if rest
        else text
    )


def _credit(gap: Gap) -> str:
    if not gap.bill.credit_rows:
        return "No credits or adjustments for these services on the bill."
    one, many = "credit or adjustment", "credits and adjustments"
    return f"{_number(gap.bill.credit_rows, one, many)} for these services."


def _late(gap: Gap) -> str:
    bill = gap.bill
    parts = []
    if bill.late_deliveries:
        text = _number(bill.late_deliveries, "delivery", "deliveries")
        parts.append(f"{text} after the first complete one: {_amount(gap, bill.late_cost)}")
    if bill.other_months_rows:
        rows = _number(bill.other_months_rows, "bill line")
        parts.append(f"{rows} for usage of other months: {_amount(gap, bill.other_months_cost)}")
    return _sentence(parts) if parts else "Nothing was delivered late or for another month."


def _rounding(gap: Gap) -> str:
    rows = sum(line.rows for line in gap.bill.lines)
    return (
        "Invoiced against contracted cost where a bill line differs by less than one minor unit,"
        f" over {grouped(rows)} bill lines."
    )


def _remainder(gap: Gap) -> str:
    parts = []
    if gap.not_by_token:
        parts.append(f"quantities that do not convert to tokens: {_amount(gap, gap.not_by_token)}")
    if gap.above_contract:
        parts.append(
            f"invoiced differs from contracted cost by more than rounding, as with commitments: "
            f"{_amount(gap, gap.above_contract)}"
        )
    if parts:
        return _sentence(parts)
    return "What no cause accounts for." if gap.amounts["remainder"] else "Nothing is left over."


EVIDENCE: dict[CauseKey, Callable[[Gap], str]] = {
    "untraced": _untraced,
    "silent": _silent,
    "cached": _cached,
    "reasoning": _reasoning,
    "batch": _batch,
    "prices": _prices,
    "discount": _discount,
    "credit": _credit,
    "late": _late,
    "rounding": _rounding,
    "remainder": _remainder,
}


# ---------------------------------------------------------------- fixes

NOTHING_TO_DO = "Nothing to do."
# What to do where the cause has an amount, and the page where it begins.
FIXES: dict[CauseKey, tuple[str, str | None]] = {
    "untraced": ("Send spans of the programs behind the largest, or name their owner.", "explain"),
    "silent": (
        "Make the client report token counts; for streams, ask the provider to include usage.",
        "debug",
    ),
    "cached": (
        "Report cached input as a count of its own: gen_ai.usage.cache_read.input_tokens.",
        "debug",
    ),
    "reasoning": ("Count reasoning into the output tokens that spans report.", "debug"),
    "batch": (
        "Set the service tier of batch calls to batch, so that they are priced and split as such.",
        "debug",
    ),
    "prices": ("Import a newer price list, then price usage again: manage.py reprice.", "debug"),
    "discount": ("Compare the percentage with the contract.", None),
    "credit": ("Check that every promised credit is on the bill.", "chargeback"),
    "late": ("Allocate the month again after its last delivery; accrue until then.", "imports"),
    "rounding": (NOTHING_TO_DO, None),
    "remainder": (
        "Look at the bill lines of the largest model; name a missing cause.",
        "chargeback",
    ),
}
MORE_TRACED = (
    "More is traced than billed: check that no call is counted twice and that sampling rates are"
    " right; sampled traces miss by chance."
)


def _fix(gap: Gap, key: CauseKey) -> tuple[str, str | None]:
    amount = gap.amounts[key]
    if not amount:
        return NOTHING_TO_DO, None
    if key == "untraced" and amount < 0:
        return MORE_TRACED, "debug"
    return FIXES[key]


# ---------------------------------------------------------------- words


def _largest(gap: Gap, key: CauseKey) -> str:
    """The model with most of the amount, where there are several."""
    models = sorted(
        gap.by_model[key],
        key=lambda pair: (-abs(pair[1]), pair[0].model or "", pair[0].project or ""),
    )
    if len(models) < 2:
        return ""
    model, amount = models[0]
    where = f" in {model.project}" if model.project and model.project != "*" else ""
    return f" Largest: {model.model or 'no model'}{where}, {_amount(gap, amount)}."


def _billed_input(model: ComparedModel) -> Decimal:
    classes = frozenset(line.token_class or "" for line in model.lines) - OUTPUT_CLASSES - {""}
    return model.billed_of(classes)


def _sum(gap: Gap, figure: Callable[[ComparedModel], Decimal]) -> Decimal:
    return sum((figure(model) for model in gap.bill.models), ZERO)


def _amount(gap: Gap, amount: Decimal) -> str:
    return f"{money(amount, minor_units(gap.bill.currency))} {gap.bill.currency}"


def _number(number: int, one: str, many: str = "") -> str:
    return f"{grouped(number)} {one if number == 1 else many or one + 's'}"


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
