"""The causes of a gap in words: each with its amount, the evidence in a sentence with numbers, and
the fix. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from allocation.plans.traced import MOST_OVER
from allocation.values.money import exact_sum, minor_units
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
    "over_traced": "More than three times traced",
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
    `gap.total`. What is traced more than three times is a finding beside them: its amount stands
    in what has no trace.
    """
    found = [
        NamedCause(key, LABELS[key], gap.amounts[key], EVIDENCE[key](gap), *_fix(gap, key))
        for key in CAUSES
        if key in gap.amounts
    ]
    if over := far_over_traced(gap):
        key: CauseKey = "over_traced"
        finding = NamedCause(key, LABELS[key], ZERO, _over_traced(over), COUNTED_TWICE, "debug")
        found.insert(-1, finding)
    return tuple(found)


# ---------------------------------------------------------------- what bill and traces call a model


class OverTraced(NamedTuple):
    """A model, over all projects, in tokens."""

    model: str | None
    billed: Decimal
    traced: Decimal


def far_over_traced(gap: Gap) -> list[OverTraced]:
    """Models of which the traces have more than three times of what is billed, largest first."""
    found: dict[tuple[str | None, str | None], OverTraced] = {}
    by_token = [model for model in gap.bill.models if model.is_by_token]
    for model in by_token if gap.is_compared else ():
        name = model.provider, model.model
        before = found.get(name, OverTraced(model.model, ZERO, ZERO))
        found[name] = OverTraced(
            model.model, before.billed + model.billed_tokens, before.traced + model.traced_tokens
        )
    over = [each for each in found.values() if each.traced > MOST_OVER * each.billed > 0]
    return sorted(over, key=lambda each: (each.billed - each.traced, each.model or ""))


def _over_traced(over: list[OverTraced]) -> str:
    first, more = over[0], len(over) - 1
    text = f"{first.model or 'No model'}: {count(first.traced)} tokens traced,"
    text += f" {count(first.billed)} on the bill"
    return f"{text}; {_number(more, 'other model')} alike." if more else f"{text}."


def unknown_models(gap: Gap) -> list[ComparedModel]:
    """Of which the bill's wording is not known."""
    return [model for model in gap.bill.models if model.is_unknown]


def stray_models(gap: Gap) -> list[ComparedModel]:
    """Traced under names that no line of the bill has: profile ids, deployments, aliases."""
    billed = {(model.provider, model.model) for model in gap.bill.models if model.lines}
    return [
        model
        for model in gap.bill.models
        if model.calls and (model.provider, model.model) not in billed
    ]


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

NO_WORK: tuple[str, str | None] = ("Nothing to do.", None)
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
    "rounding": NO_WORK,
    "remainder": (
        "Look at the bill lines of the largest model; name a missing cause.",
        "chargeback",
    ),
}
MORE_TRACED = (
    "More is traced than billed: check that no call is counted twice and that sampling rates are"
    " right; sampled traces miss by chance."
)


TEACH = "say in the catalogue which one it is: manage.py catalogue."
WORDING = f"Nobody knows the model that the bill calls {{names}}: {TEACH}"
STRAYS = (
    "Calls name a model that the bill does not have ({names}), as profile ids and deployments do:"
    f" {TEACH}"
)
UNIT = (
    "The unit of these lines is not understood: import the provider's usage report, which says how"
    " many tokens were billed."
)
NOT_STATED = (
    "Some lines state no list or no contracted cost: ask for a bill with both before comparing."
)
COUNTED_TWICE = "Look for calls that are counted twice, or a unit of the bill that is misread."


def _fix(gap: Gap, key: CauseKey) -> tuple[str, str | None]:
    """What to do, by what the cause rests on; a net amount of zero may still hide work."""
    return ADVICE[key](gap) if key in ADVICE else FIXES[key] if gap.amounts[key] else NO_WORK


def _untraced_fix(gap: Gap) -> tuple[str, str | None]:
    strays, unknown = stray_models(gap), unknown_models(gap)
    named = [model for model in gap.by_model["untraced"] if model[0] not in (*strays, *unknown)]
    rest = exact_sum(amount for _, amount in named)
    less = FIXES["untraced"] if rest > 0 else (MORE_TRACED, "debug")
    return _all_of(
        [
            *([(WORDING.format(names=_names(unknown)), None)] if unknown else ()),
            *([(STRAYS.format(names=_names(strays)), None)] if strays else ()),
            *([less] if named else ()),
        ]
    )


def _silent_fix(gap: Gap) -> tuple[str, str | None]:
    return FIXES["silent"] if _sum(gap, lambda m: m.silent_calls) else NO_WORK


def _prices_fix(gap: Gap) -> tuple[str, str | None]:
    strays = [model for model in stray_models(gap) if model.unpriced_calls]
    others = _sum(gap, lambda m: m.unpriced_calls) > sum(m.unpriced_calls for m in strays)
    return _all_of(
        [
            *([(STRAYS.format(names=_names(strays)), None)] if strays else ()),
            *([FIXES["prices"]] if others or gap.amounts["prices"] else ()),
        ]
    )


def _discount_fix(gap: Gap) -> tuple[str, str | None]:
    lines = gap.bill.lines if gap.amounts["discount"] else []
    known = [line for line in lines if None not in (line.list_cost, line.contracted_cost)]
    is_told = any(line.contracted != line.listed for line in known)
    return _all_of(
        [
            *([(NOT_STATED, None)] if len(known) < len(lines) else ()),
            *([FIXES["discount"]] if is_told else ()),
        ]
    )


def _remainder_fix(gap: Gap) -> tuple[str, str | None]:
    has_unit = gap.is_compared and not all(model.is_by_token for model in gap.bill.models)
    others = gap.amounts["remainder"] != gap.not_by_token
    return _all_of(
        [*([(UNIT, "drivers")] if has_unit else ()), *([FIXES["remainder"]] if others else ())]
    )


ADVICE: dict[CauseKey, Callable[[Gap], tuple[str, str | None]]] = {
    "untraced": _untraced_fix,
    "silent": _silent_fix,
    "prices": _prices_fix,
    "discount": _discount_fix,
    "remainder": _remainder_fix,
}


def _all_of(fixes: list[tuple[str, str | None]]) -> tuple[str, str | None]:
    """The fixes in one text, with the first page that one of them names."""
    if not fixes:
        return NO_WORK
    pages = [page for _, page in fixes if page]
    return " ".join(text for text, _ in fixes), pages[0] if pages else None


def _names(models: Iterable[ComparedModel]) -> str:
    """The largest three, and how many more."""
    sizes: dict[str, Decimal] = {}
    for model in models:
        name = model.model or "no name"
        cost = sum((abs(line.billed_cost) for line in model.lines), model.estimate)
        sizes[name] = sizes.get(name, ZERO) + cost
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return f"{', '.join(ordered[:3])}{more}"


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
