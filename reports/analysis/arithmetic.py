"""How one day's share was calculated, as steps a reader can follow with a calculator."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from reports.queries.explain.amount import ExplainedDay

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


@dataclass(frozen=True)
class Step:
    """One factor: what it is, the number, and what it does."""

    label: str
    value: Decimal | None
    kind: str  # money, share, ratio
    of: Decimal | None = None  # ratio: the whole
    unit: str | None = None


def widened_words(method: str, widened: str | None) -> str | None:
    if widened is None:
        return None
    if method == "follow" and widened == "provider":
        return WIDENED_WORDS["provider-wide"]
    return WIDENED_WORDS.get(widened, f"Widened to {widened}.")


def steps(method: str, day: ExplainedDay) -> list[Step]:
    """The charge, the part of it this kind covers, and the share of what it is split by. Their
    product is the amount, up to the last digit, which the largest remainders decide.
    """
    found = [
        Step(
            f"{day.charges:,} bill line{'s' if day.charges != 1 else ''} of the day",
            day.group_amount,
            "money",
        )
    ]
    if method == "traced_usage" and day.coverage is not None and day.coverage < 1:
        if _is_untraced(day):
            found.append(Step("not covered by traces", 1 - day.coverage, "share"))
        else:
            found.append(Step("covered by traces", day.coverage, "share"))
    if _has_driver(day):
        unit = driver_words(day.driver)
        found.append(Step("split by", day.driver_quantity, "ratio", day.driver_total, unit))
    return found


def driver_words(driver: str | None) -> str | None:
    """`input_uncached + cache_read tokens` as `input uncached + cache read tokens`."""
    if driver is None:
        return None
    words = driver.replace("_", " ").replace("related charges", "related bill lines")
    return words.replace("effective cost", "amortised cost").replace("billed cost", "invoiced cost")


def product(found: list[Step]) -> Decimal | None:
    """What the steps multiply to; None where a number is missing."""
    amount = Decimal(1)
    for step in found:
        if step.value is None or (step.kind == "ratio" and not step.of):
            return None
        amount *= step.value / step.of if step.kind == "ratio" and step.of else step.value
    return amount


def _is_untraced(day: ExplainedDay) -> bool:
    return day.charge_kind == "untraced" or (
        day.charge_kind == "unallocated" and not _covers_by_driver(day)
    )


def _covers_by_driver(day: ExplainedDay) -> bool:
    return day.note is None or "unallocated" not in day.note


def _has_driver(day: ExplainedDay) -> bool:
    """The untraced part of an owner, and what nobody owes, is not split by the driver."""
    if day.driver_total is None or not day.driver_total or day.driver_quantity is None:
        return False
    if day.charge_kind == "untraced":
        return (day.note or "").startswith("untraced spread")
    return not (day.charge_kind == "unallocated" and not _covers_by_driver(day))
