"""Why is a bill not what the traces say? Billed minus the estimate of the traces, cut into named
causes. Pure.

The estimate is repriced one step after another, from what was traced at list price to what was
billed. A cause is the difference of two steps, so the causes add up to the gap exactly;
`remainder`, always the last, is what no step explains. docs/reconciliation.md defines each step.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property
from typing import Literal, NamedTuple

from allocation.catalogue.canonical import CLASS_COLUMNS, REASONING, TOKEN_COLUMNS, columns_of
from allocation.values.money import EXACT, exact_sum

ZERO = Decimal(0)
QUANTUM = Decimal("1e-18")  # repriced amounts are cut here; sums of bills stay as they are
DUST = Decimal(
    "1e-9"
)  # a model's repriced amount below it comes of the cutting and counts as rounding
WORKING_DIGITS = 60

CauseKey = Literal[
    "untraced", "silent", "cached", "reasoning", "batch", "prices", "discount", "credit", "late",
    "rounding", "over_traced", "remainder",
]  # fmt: skip
REPRICED: tuple[CauseKey, ...] = ("untraced", "silent", "cached", "reasoning", "batch", "prices")
ON_THE_BILL: tuple[CauseKey, ...] = ("discount", "credit", "late", "rounding", "remainder")
CAUSES = REPRICED + ON_THE_BILL


@dataclass(frozen=True)
class BilledLine:
    """A month's charges of one model, token class and tier, in the bill's currency; None where any
    row lacks it.

    `rounding` is the part of billed minus contracted cost in rows where the two differ by less than
    one minor unit.
    """

    token_class: str | None
    is_batch: bool
    rows: int
    quantity: Decimal | None  # tokens
    billed_cost: Decimal
    list_cost: Decimal | None
    contracted_cost: Decimal | None
    rounding: Decimal = ZERO
    is_known: bool = True  # false: nobody knows a model of the bill's wording

    @property
    def contracted(self) -> Decimal:
        return self.billed_cost if self.contracted_cost is None else self.contracted_cost

    @property
    def listed(self) -> Decimal:
        return self.contracted if self.list_cost is None else self.list_cost


@dataclass(frozen=True)
class TracedTokens:
    """Weighted tokens of one column; `list_cost` (USD) is of the `priced` ones."""

    tokens: Decimal
    priced: Decimal
    list_cost: Decimal


class TokenPrice(NamedTuple):
    """USD per token at list price: as the traced calls were priced, at the standard and at the
    batch tier.
    """

    own: Decimal
    standard: Decimal
    batch: Decimal


@dataclass(frozen=True)
class ComparedModel:
    """What bill and traces know of one model in one project. `silent_calls` ended well and told no
    usage.
    """

    provider: str | None
    project: str | None
    model: str | None
    lines: tuple[BilledLine, ...] = ()
    traced: Mapping[str, TracedTokens] | None = None
    prices: Mapping[str, TokenPrice] | None = None
    calls: Decimal = ZERO
    silent_calls: Decimal = ZERO
    unpriced_calls: Decimal = ZERO  # of models without a list price, or not priced yet
    batch_calls: Decimal = ZERO

    @property
    def is_by_token(self) -> bool:
        """Every line's quantity converts to tokens, so that bill and traces can be compared."""
        return all(line.quantity is not None for line in self.lines)

    @property
    def is_unknown(self) -> bool:
        """Some wording of the bill tells a model that nobody knows."""
        return not all(line.is_known for line in self.lines)

    @property
    def billed_tokens(self) -> Decimal:
        return sum((line.quantity or ZERO for line in self.lines), ZERO)

    @property
    def traced_tokens(self) -> Decimal:
        return sum((column.tokens for column in (self.traced or {}).values()), ZERO)

    @property
    def estimate(self) -> Decimal:
        """USD."""
        return exact_sum(column.list_cost for column in (self.traced or {}).values())

    @property
    def reasons(self) -> bool:
        column = (self.traced or {}).get("reasoning")
        return bool(column and column.tokens) or any(
            line.token_class == REASONING for line in self.lines
        )

    def tokens_of(self, names: Collection[str]) -> Decimal:
        return sum(
            (column.tokens for name, column in (self.traced or {}).items() if name in names), ZERO
        )

    def billed_of(self, classes: Collection[str]) -> Decimal:
        return sum(
            (line.quantity or ZERO for line in self.lines if line.token_class in classes), ZERO
        )


@dataclass(frozen=True)
class SourceBill:
    """One source's model usage of a month in one currency, with what else moves its price.

    `late_cost` is what later deliveries changed in this month's usage, `other_months_cost` is
    billed here for usage of other months; neither is in the models' lines.
    """

    source_id: int
    source: str
    currency: str
    models: tuple[ComparedModel, ...]
    credit: Decimal = ZERO
    credit_rows: int = 0
    late_cost: Decimal = ZERO
    late_deliveries: int = 0
    other_months_cost: Decimal = ZERO
    other_months_rows: int = 0

    @property
    def lines(self) -> list[BilledLine]:
        return [line for model in self.models for line in model.lines]

    @cached_property
    def billed(self) -> Decimal:
        usage = exact_sum(line.billed_cost for line in self.lines)
        return exact_sum((usage, self.credit, self.late_cost, self.other_months_cost))

    @cached_property
    def estimate(self) -> Decimal:
        """USD, of the traces."""
        return exact_sum(model.estimate for model in self.models)


@dataclass(frozen=True)
class Gap:
    """`start` plus the amounts is `bill.billed`, exactly. All in the bill's currency.

    Without a rate to the bill's currency `start` is the bill at its own list prices, `is_compared`
    is false, and only the causes that the bill alone tells are there.
    """

    bill: SourceBill
    start: Decimal
    is_compared: bool
    amounts: Mapping[CauseKey, Decimal]
    by_model: Mapping[
        CauseKey, Sequence[tuple[ComparedModel, Decimal]]
    ]  # the models behind a repriced amount
    not_by_token: Decimal = (
        ZERO  # of the remainder: models whose quantity does not convert to tokens
    )
    above_contract: Decimal = ZERO  # of the remainder: billed minus contracted cost beyond rounding

    @property
    def total(self) -> Decimal:
        return EXACT.subtract(self.bill.billed, self.start)


def gap_of(bill: SourceBill, *, rate: Decimal | None = None) -> Gap:
    """The gap of one bill. `rate` is the bill's currency per USD; a bill in USD needs none."""
    if bill.currency == "USD":
        rate = Decimal(1)
    lines = bill.lines
    if rate is None:
        steps: list[tuple[ComparedModel, Steps]] = []
        start = listed = exact_sum(line.listed for line in lines)
        not_by_token = ZERO
    else:
        start = EXACT.multiply(bill.estimate, rate)
        thinking = frozenset(model.model for model in bill.models if model.reasons)
        steps = [
            (model, _steps(model, rate, reasons=model.model in thinking)) for model in bill.models
        ]
        listed = exact_sum(step.listed for _, step in steps)
        not_by_token = exact_sum(step.not_by_token for _, step in steps)
    contracted = exact_sum(line.contracted for line in lines)
    rounding = exact_sum(line.rounding for line in lines)
    above = exact_sum(
        (*(line.billed_cost for line in lines), contracted.copy_negate(), rounding.copy_negate())
    )
    by_model = {
        key: [(m, step.amounts[key]) for m, step in steps if abs(step.amounts[key]) >= DUST]
        for key in REPRICED
    }
    dust = [
        step.amounts[key] for _, step in steps for key in REPRICED if abs(step.amounts[key]) < DUST
    ]
    amounts: dict[CauseKey, Decimal] = {
        key: exact_sum(amount for _, amount in by_model[key])
        for key in (REPRICED if rate is not None else ())
    }
    amounts["discount"] = EXACT.subtract(contracted, listed)
    amounts["credit"] = bill.credit
    amounts["late"] = EXACT.add(bill.late_cost, bill.other_months_cost)
    amounts["rounding"] = exact_sum((rounding, *dust))
    known = exact_sum(amounts.values())
    amounts["remainder"] = exact_sum((bill.billed, start.copy_negate(), known.copy_negate()))
    return Gap(bill, start, rate is not None, amounts, by_model, not_by_token, above)


# ---------------------------------------------------------------- one model


@dataclass(frozen=True)
class Steps:
    """`listed`, the model at the bill's list prices, is estimate + amounts + not_by_token."""

    amounts: Mapping[CauseKey, Decimal]
    listed: Decimal
    not_by_token: Decimal = ZERO


INPUT_COLUMNS = frozenset(name for name in TOKEN_COLUMNS if name.startswith(("input", "cache")))
OUTPUT_COLUMNS = frozenset(TOKEN_COLUMNS) - INPUT_COLUMNS
INPUT_CLASSES = frozenset(name for name in CLASS_COLUMNS if CLASS_COLUMNS[name][0] in INPUT_COLUMNS)
OUTPUT_CLASSES = frozenset(CLASS_COLUMNS) - INPUT_CLASSES


def _steps(model: ComparedModel, rate: Decimal, *, reasons: bool) -> Steps:
    with localcontext(prec=WORKING_DIGITS):
        priced = Pricing(model, rate)
        if not model.is_by_token:
            nothing: dict[CauseKey, Decimal] = dict.fromkeys(REPRICED, ZERO)
            listed = exact_sum(line.listed for line in model.lines)
            return Steps(
                nothing, listed, EXACT.subtract(listed, EXACT.multiply(model.estimate, rate))
            )
        return _repriced(model, priced, reasons=reasons)


def _repriced(model: ComparedModel, priced: Pricing, *, reasons: bool) -> Steps:
    """The chain of docs/reconciliation.md for one model."""
    estimate = EXACT.multiply(model.estimate, priced.rate)
    whole = _cut(priced.traced(TOKEN_COLUMNS))
    level = _levels(model, priced)
    both_sides = bool(level.has_output and reasons)
    amounts: dict[CauseKey, Decimal] = {
        "untraced": level.scaled - whole + (ZERO if both_sides else level.output - level.cached),
        "cached": level.cached - level.scaled,
        "reasoning": level.output - level.cached if both_sides else ZERO,
        "batch": level.tiers - level.output,
    }
    amounts["silent"] = _of_silent_calls(model, whole, amounts["untraced"])
    amounts["untraced"] -= amounts["silent"]
    listed = exact_sum(
        line.list_cost if line.list_cost is not None else _cut(priced.at_tier(line))
        for line in model.lines
    )
    unpriced = EXACT.subtract(whole, estimate)
    amounts["prices"] = exact_sum((unpriced, listed, level.tiers.copy_negate()))
    return Steps(amounts, listed)


class Levels(NamedTuple):
    """The model's cost after each step: quantities of the bill, its cached part, its output, its
    tiers.
    """

    scaled: Decimal
    cached: Decimal
    output: Decimal
    tiers: Decimal
    has_output: bool = False


def _levels(model: ComparedModel, priced: Pricing) -> Levels:
    if any(
        line.token_class is None for line in model.lines
    ):  # a price for all tokens: no class can be told apart
        tokens = model.traced_tokens
        of_bill = sum((line.listed for line in model.lines), ZERO)
        scaled = _cut(
            priced.traced(TOKEN_COLUMNS) * model.billed_tokens / tokens if tokens else of_bill
        )
        return Levels(scaled, scaled, scaled, scaled)
    billed_in, billed_out = priced.billed(INPUT_CLASSES), priced.billed(OUTPUT_CLASSES)
    tiers = (
        _cut(sum((priced.at_tier(line) for line in model.lines), ZERO))
        if priced.has_batch
        else None
    )
    tokens_in, of_bill_in = model.tokens_of(INPUT_COLUMNS), model.billed_of(INPUT_CLASSES)
    tokens_out, of_bill_out = model.tokens_of(OUTPUT_COLUMNS), model.billed_of(OUTPUT_CLASSES)
    has_input, has_output = bool(tokens_in and of_bill_in), bool(tokens_out and of_bill_out)
    output = _cut(billed_in + billed_out)
    if not has_input and not has_output:
        return Levels(output, output, output, output if tiers is None else tiers)
    scale = of_bill_in / tokens_in if has_input else of_bill_out / tokens_out
    traced_in, traced_out = (
        scale * priced.traced(INPUT_COLUMNS),
        scale * priced.traced(OUTPUT_COLUMNS),
    )
    scaled = _cut(traced_in + traced_out)
    cached = _cut(billed_in + traced_out) if has_input else scaled
    return Levels(
        scaled, cached, output, output if tiers is None else tiers, has_input and has_output
    )


def _of_silent_calls(model: ComparedModel, whole: Decimal, missing: Decimal) -> Decimal:
    """What of the missing cost the calls without usage explain: each is taken to be as large as the
    others.
    """
    if missing <= 0 or not model.silent_calls:
        return ZERO
    telling = model.calls - model.silent_calls
    if not model.traced_tokens or telling <= 0:
        return missing
    return min(missing, _cut(whole * model.silent_calls / telling))


def _cut(amount: Decimal) -> Decimal:
    return amount.quantize(QUANTUM)


@dataclass(frozen=True)
class Pricing:
    """List prices of one model in the bill's currency: of the price list where it knows one, else
    of the bill.
    """

    model: ComparedModel
    rate: Decimal

    @cached_property
    def classes(self) -> frozenset[str]:
        return frozenset(line.token_class for line in self.model.lines if line.token_class)

    @cached_property
    def has_batch(self) -> bool:
        return bool(self.model.batch_calls) or any(
            line.is_batch and line.quantity for line in self.model.lines
        )

    @cached_property
    def payer(self) -> Mapping[str, str]:
        """The class of the bill that pays for a column."""
        return {
            TOKEN_COLUMNS[number]: token_class
            for token_class in sorted(self.classes)
            for number in columns_of(token_class, self.classes)
        }

    def traced(self, columns: Iterable[str]) -> Decimal:
        """The traced tokens of these columns, those without a list price at the bill's own."""
        found = self.model.traced or {}
        return sum(
            (self._traced_column(name, found[name]) for name in columns if name in found), ZERO
        )

    def _traced_column(self, name: str, column: TracedTokens) -> Decimal:
        price = (self.model.prices or {}).get(name)
        if price is not None:
            missing = price.own * self.rate
        else:
            missing = (self.of_bill(self.payer[name]) if name in self.payer else None) or ZERO
        return column.list_cost * self.rate + (column.tokens - column.priced) * missing

    def billed(self, classes: Iterable[str]) -> Decimal:
        """The bill's tokens of these classes at the price of the traced calls."""
        chosen = self.classes.intersection(classes)
        return sum(
            (self.model.billed_of({name}) * self._price(name, "own") for name in sorted(chosen)),
            ZERO,
        )

    def at_tier(self, line: BilledLine) -> Decimal:
        """One line at the list price of its own tier."""
        if line.token_class is None or line.quantity is None:
            return line.listed
        if not self.has_batch:
            return line.quantity * self._price(line.token_class, "own")
        standard = self._price(line.token_class, "standard")
        if not line.is_batch:
            return line.quantity * standard
        batch = self._price(line.token_class, "batch")
        if (
            batch == standard
        ):  # the price list knows no batch price: the bill tells how much less it is
            ordinary, less = (
                self.of_bill(line.token_class, is_batch=False),
                self.of_bill(line.token_class, is_batch=True),
            )
            batch = standard * less / ordinary if ordinary and less is not None else batch
        return line.quantity * batch

    def _price(self, token_class: str, kind: Literal["own", "standard", "batch"]) -> Decimal:
        """Per token of the class's own columns, weighted by what was traced of them."""
        prices, traced = self.model.prices or {}, self.model.traced or {}
        known = [name for name in CLASS_COLUMNS[token_class] if name in prices]
        if not known:
            return self.of_bill(token_class) or ZERO
        weights = [traced[name].tokens if name in traced else ZERO for name in known]
        if not any(weights):
            return getattr(prices[known[0]], kind) * self.rate  # type: ignore[no-any-return]
        costs = [
            getattr(prices[name], kind) * weight
            for name, weight in zip(known, weights, strict=True)
        ]
        return sum(costs, ZERO) / sum(weights, ZERO) * self.rate

    def of_bill(self, token_class: str, *, is_batch: bool | None = None) -> Decimal | None:
        """The bill's own list price per token of a class; None where it tells none."""
        lines = [
            line
            for line in self.model.lines
            if line.token_class == token_class
            and line.quantity
            and is_batch in (None, line.is_batch)
        ]
        tokens = sum((line.quantity or ZERO for line in lines), ZERO)
        return sum((line.listed for line in lines), ZERO) / tokens if tokens else None
