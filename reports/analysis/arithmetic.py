"""How one day's share was calculated, as steps that anyone can follow with a calculator and that
give the amount to its last digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

from allocation.values.money import EXACT, exact_sum
from allocation.values.names import UNKNOWN_WORDING, UNTRACED
from reports.queries.explain.amount import ExplainedDay, GroupPart
from reports.readable import DERIVED, DERIVED_WORDS, NOTES, percent

WIDENED_WORDS = {
    "month": "Nothing was measured on that day, so the whole month decides.",
    "model": (
        "No spans with this token class, so all usage of the model decides, weighted by list price."
    ),
    "model, month": (
        "No spans of this model and class on that day, so the model's whole month decides."
    ),
    "region": (
        "No spans of this region on that day or in the month, so those of all regions decide."
    ),
    "region, month": "No spans of this region, so the month's spans of all regions decide.",
    "any tier": "No span says that reserved capacity served it, so all spans of the model decide.",
    "any tier, month": (
        "No span says that reserved capacity served it, so the model's whole month decides."
    ),
    "every model": "About no model, so all models of this provider and project decide.",
    "every model, month": (
        "About no model, so the month's usage of this provider and project decides."
    ),
    "provider": (
        "Also spans that name no seller, or one without a bill: they fill what this seller's own"
        " spans leave."
    ),
    "provider, month": (
        "Nothing was measured on that day, so the whole month decides, also spans that name no"
        " seller or one without a bill."
    ),
    "service": "Related bill lines of the same service.",
    "sub-account": (
        "No related bill line of the same service, so those of the same sub-account decide."
    ),
    "provider-wide": (
        "No related bill line of the same sub-account, so those of the same provider decide."
    ),
    "calls without a project": (
        "Calls that name no project were placed where the bill had room for them."
    ),
    "calls without a project, month": (
        "No calls on the day; those of the month that name no project were placed where the bill"
        " had room for them."
    ),
    "source": "No related bill line of the same provider, so those of the same source decide.",
}


StepKind = Literal["money", "less", "ratio", "rounding"]
SPREAD, APART = "untraced spread", "untraced "  # how notes begin where something has no trace
UNUSED = "unused capacity"
REST_REASONS = (UNTRACED, UNKNOWN_WORDING)


@dataclass(frozen=True)
class Step:
    """One step of a calculation: `money` begins it, `less` takes an amount off, `ratio` multiplies
    by value / of, and `rounding` cuts after `places` decimals and adds a value of some last digits.
    """

    label: str
    kind: StepKind
    value: Decimal
    of: Decimal | None = None
    unit: str | None = None
    places: int | None = None


class NotTheAmount(ArithmeticError):
    """No calculation that the ledger knows of gives this share; none may be shown."""


class Way(NamedTuple):
    """Steps that may have made a share. They are right where they miss it by less than `quanta` of
    the split, which come from cutting: one for each share and each part cut before it.
    """

    steps: list[Step]
    quanta: int


def steps(method: str, day: ExplainedDay, parts: Sequence[GroupPart]) -> list[Step]:
    """The first way that gives the share, with the rounding that makes it exact.

    `parts` are those of the day's whole charge group. Raises NotTheAmount where no way does.
    """
    places = -int(day.group_amount.as_tuple().exponent)
    amount = Fraction(day.amount)
    for way in _ways(method, day, parts):
        found = result_of(way.steps)
        if found == amount:
            return way.steps
        if abs(found - amount) * 10**places < way.quanta:
            return [*way.steps, _rounding(found, amount, places)]
    raise NotTheAmount(f"{day.day}, {day.charge_kind}: {day.amount} of {day.group_amount}")


def result_of(found: Sequence[Step]) -> Fraction:
    """What the steps come to, exactly."""
    amount = Fraction(0)
    for step in found:
        value = Fraction(step.value)
        if step.kind == "money":
            amount = value
        elif step.kind == "less":
            amount -= value
        elif step.kind == "ratio" and step.of:
            amount *= value / Fraction(step.of)
        elif step.kind == "rounding" and step.places is not None:
            amount = _cut(amount, step.places) + value
        else:
            raise ValueError(step)
    return amount


def _ways(method: str, day: ExplainedDay, parts: Sequence[GroupPart]) -> Iterator[Way]:
    """The ways in which a plan can have made the share, the one with the fewest steps first."""
    whole = [_group_step(day)]
    if day.amount == day.group_amount:
        yield Way(whole, 1)
        return
    note = day.note or ""
    if _is_rest(day, note):
        yield Way(
            [*whole, _less(EXACT.subtract(day.group_amount, day.amount), _rest_label(method))], 1
        )
        return
    if day.driver is None or not day.driver_total or day.driver_quantity is None:
        return
    apart = _apart(day, note, parts)
    if not note.startswith(SPREAD) or day.charge_kind == "unallocated":
        less = exact_sum(part.amount for part in apart)
        steps_less = [_less(less, "what has no trace")] if apart else []
        # Of two parts, each was cut before its shares were.
        quanta = day.shares * (1 if apart else 2)
        yield Way([*whole, *steps_less, *_ratio(day, day.driver_total)], quanta)
    yield _among_own(day, parts, whole)


def _among_own(day: ExplainedDay, parts: Sequence[GroupPart], whole: list[Step]) -> Way:
    """Of what all shares of this kind come to: where a part was split by the same quantities."""
    is_own = [part.charge_kind == day.charge_kind and part.reason == day.reason for part in parts]
    if day.reason is None:
        is_own = [part.charge_kind == day.charge_kind for part in parts]
    own = [part for part, mine in zip(parts, is_own, strict=True) if mine]
    others = [part for part, mine in zip(parts, is_own, strict=True) if not mine]
    total = exact_sum(part.driver_quantity for part in own if part.driver_quantity is not None)
    nobodys = [part for part in others if part.charge_kind == "unallocated"]
    label = "what is traced" if day.charge_kind == "untraced" else "what has no trace"
    if nobodys:
        label += " or no owner"
    less = [_less(exact_sum(part.amount for part in others), label)] if others else []
    quanta = day.shares + sum(part.shares for part in nobodys)
    return Way([*whole, *less, *_ratio(day, total)], quanta)


def _is_rest(day: ExplainedDay, note: str) -> bool:
    """Whether it is what usage does not explain, which goes to one owner, or to nobody, unsplit."""
    if day.charge_kind == "idle" or note.startswith(UNUSED):
        return day.charge_kind == "idle" or day.reason in REST_REASONS
    if note.startswith(SPREAD) or not note.startswith(APART):
        return False
    return day.charge_kind == "untraced" or day.reason in REST_REASONS


def _apart(day: ExplainedDay, note: str, parts: Sequence[GroupPart]) -> list[GroupPart]:
    """What was taken off before the callers shared the rest."""
    if note.startswith(SPREAD) or not note.startswith(APART):
        return []
    return [part for part in parts if part.charge_kind == "untraced" or part.reason in REST_REASONS]


def _rest_label(method: str) -> str:
    if method == "gpu_usage":
        return "what was booked"
    return "what was used" if method == "capacity" else "what is traced"


def _group_step(day: ExplainedDay) -> Step:
    if not day.charges:
        return Step("Bill lines of several days, this day's part", "money", day.group_amount)
    lines = f"{day.charges:,} bill line{'s' if day.charges != 1 else ''} of the day"
    return Step(lines, "money", day.group_amount)


def _less(amount: Decimal, label: str) -> Step:
    return Step(f"less {label}", "less", amount)


def _ratio(day: ExplainedDay, total: Decimal) -> list[Step]:
    """Nothing where one has all of it: a factor of one is none."""
    if day.driver_quantity is None or not total or day.driver_quantity == total:
        return []
    return [Step("split by", "ratio", day.driver_quantity, total, driver_words(day.driver))]


def _rounding(found: Fraction, amount: Fraction, places: int) -> Step:
    """What the cut of the result lacks, in whole quanta."""
    quanta = (amount - _cut(found, places)) * 10**places
    value = Decimal(int(quanta)).scaleb(-places)
    return Step(f"cut after {places} decimals", "rounding", value, places=places)


def _cut(amount: Fraction, places: int) -> Fraction:
    """Towards zero, as money is split: a refund mirrors its charge."""
    return Fraction(int(amount * 10**places), 10**places)


# ---------------------------------------------------------------- words


def widened_words(method: str, widened: str | None) -> str | None:
    if widened is None:
        return None
    if method == "follow" and widened == "provider":
        return WIDENED_WORDS["provider-wide"]
    return WIDENED_WORDS.get(widened, f"Widened to {widened}.")


# What becomes of a line whose traces and bill do not simply agree; `{}` is how much is traced.
CASES = {
    "no traces": "no call of it was traced, so traces cannot say who owes it",
    "over-traced": "{} of what is billed is traced: callers share what is billed, and no more",
    "within sampling error": (
        "{} is traced; the rest is within the sampling error, so traced callers pay all of it"
    ),
    "untraced spread": "{} is traced; what has no trace is shared out like the rest",
    "untraced to owner": "{} is traced; what has no trace is kept by the owner of its project",
    "untraced unallocated": "{} is traced; nobody is known to owe what has no trace",
    "unknown coverage": (
        "nobody knows how much of it the traces explain, so traced callers share all of it"
    ),
}


def note_words(day: ExplainedDay) -> str | None:
    """What a run noted of the split, as words; None where there is nothing to say."""
    if day.note is None:
        return None
    note = day.note.removesuffix(DERIVED)
    words = CASES.get(note, NOTES.get(note, note))
    if "{}" in words:
        words = NOTES[note] if day.coverage is None else words.format(percent(day.coverage, 2))
    return f"{words}{DERIVED_WORDS}" if note != day.note else words


def driver_words(driver: str | None) -> str | None:
    """`input_uncached + cache_read tokens` as `input uncached + cache read tokens`."""
    if driver is None:
        return None
    words = driver.replace("_", " ").replace("related charges", "related bill lines")
    return words.replace("effective cost", "amortised cost").replace("billed cost", "invoiced cost")
