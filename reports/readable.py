"""Numbers and codes of the ledger as a reader sees them. Pages round here and nowhere else; exact
values travel beside, for hover and CSV. Each word stands here once; files, APIs and filters keep
the codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache

from allocation.values.money import EXACT, plain
from allocation.values.names import UNKNOWN_TEAM, quoted

MINUS = "\u2212"
UNKNOWN = "\u2013"
JUST_BELOW = "just below 0"
LARGE_RISE = Decimal("0.01")
WIDE = Context(prec=200)  # for rounding amounts of any length


def exact(value: Decimal | int | None) -> str:
    """All digits; "" where unknown."""
    return "" if value is None else plain(Decimal(value))


def exact_grouped(value: Decimal | int | None) -> str:
    """All digits, thousands separated; a dash where unknown."""
    if value is None:
        return UNKNOWN
    whole, _, rest = exact(value).partition(".")
    return f"{Decimal(whole):,f}{'.' if rest else ''}{rest}"


def driver(value: Decimal | int | None) -> str:
    """A quantity that a cost is split by: seats and hours come in parts, so hundredths below a
    million, all below 1.
    """
    number = Decimal(value or 0)
    if value is None or abs(number) >= 10**6:
        return count(value)
    if abs(number) < 1:
        return exact_grouped(number)
    return exact_grouped(number.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN))


def grouped(value: Decimal | int | None, places: int = 0) -> str:
    """Thousands separated, rounded half-even, with a real minus; a dash where unknown."""
    if value is None:
        return UNKNOWN
    rounded = Decimal(value).quantize(_last_place(places), ROUND_HALF_EVEN, WIDE)
    if rounded == 0:
        rounded = abs(rounded)
    return f"{rounded:,f}".replace("-", MINUS)


@cache
def _last_place(places: int) -> Decimal:
    """1, 0.1, 0.01: one unit of the last of so many decimals."""
    return Decimal(1).scaleb(-places)


def money(value: Decimal | None, places: int = 2) -> str:
    """As `grouped`, but something too small to show is not shown as nothing. `places` 0 is rounding
    to whole units.
    """
    if value and places and abs(value) < _last_place(places) / 2:
        return f"<{_last_place(places):f}" if value > 0 else JUST_BELOW
    return grouped(value, places)


def about(value: Decimal) -> str:
    """Two significant digits, thousands as "4.3 k": a size to reckon with."""
    size = abs(value)
    if size < 1000:
        return grouped(value.quantize(Decimal(1).scaleb(max(size.adjusted() - 1, 0)), context=WIDE))
    for letter, unit in (("M", Decimal(10**6)), ("k", Decimal(1000))):
        if size >= unit:
            return f"{grouped(value / unit, 1 if size < 10 * unit else 0)} {letter}"
    return grouped(value)


def listed(words: Sequence[str]) -> str:
    """ "tax, support and credits"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def unit_cost(value: Decimal | None) -> str:
    """Two decimals from one up, four significant digits below."""
    if value is None:
        return UNKNOWN
    if value == 0 or abs(value) >= 1:
        return grouped(value, 2)
    return grouped(value, min(12, 3 - value.adjusted()))


def ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """part / whole, or None where there is no whole."""
    if part is None or not whole:
        return None
    return part / whole


def percent(value: Decimal | None, places: int = 1) -> str:
    """A fraction as percent; a dash where unknown. What is not all is not called 100%, and
    something is not 0%.
    """
    if value is None:
        return UNKNOWN
    step = _last_place(places)
    hundredfold = value * 100
    if Decimal(100) - step < hundredfold < Decimal(100):
        return f">{grouped(Decimal(100) - step, places)}%"
    if 0 < hundredfold < step / 2:
        return f"<{grouped(step, places)}%"
    return f"{grouped(hundredfold, places)}%"


def count(value: Decimal | int | None) -> str:
    """Whole numbers up to a million, then millions and billions with two decimals."""
    if value is None:
        return UNKNOWN
    for size, letter in ((Decimal(10**9), "B"), (Decimal(10**6), "M")):
        if abs(Decimal(value)) >= size:
            return f"{grouped(Decimal(value) / size, 2)} {letter}"
    return grouped(value)


@dataclass(frozen=True)
class AmountChange:
    """How an amount moved against a comparison. `word` says it without colour: up, down, new,
    gone, same.
    """

    word: str
    amount: Decimal | None
    fraction: Decimal | None
    places: int = 2  # of the currency

    def __str__(self) -> str:
        if self.word in ("no comparison", "same"):
            return self.word
        size = abs(self.amount or Decimal(0))
        amount = grouped(size, self.places if size < 10 and size != size.to_integral_value() else 0)
        if self.fraction is None:
            return f"{self.word} {amount}"
        return f"{self.word} {amount} ({self._percent()})"

    def _percent(self) -> str:
        """As `percent`, but a rise has no whole to fall short of: 99.97% more is 100.0% more, not
        ">99.9%".
        """
        size = abs(self.fraction or Decimal(0))
        return (
            f"{grouped(size * 100, 1)}%"
            if self.word == "up" and size >= LARGE_RISE
            else percent(size)
        )


def change(now: Decimal | None, before: Decimal | None, places: int = 2) -> AmountChange:
    """Compared with `before`; None there means nothing is known of that time, and 0 that nothing
    was spent.
    """
    if before is None or now is None:
        return AmountChange("no comparison", None, None)
    amount = EXACT.subtract(now, before)
    if amount == 0:
        return AmountChange("same", amount, None)
    if before == 0:
        return AmountChange("new", amount, None, places)
    if now == 0:
        return AmountChange("gone", amount, None, places)
    word = "up" if amount > 0 else "down"
    return AmountChange(word, amount, amount / before if before > 0 else None, places)


def middle_cut(text: str, length: int = 28) -> str:
    """A long name without its middle, so that its telling ends stay."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}\u2026{text[-tail:]}"


def ago(then: datetime, now: datetime) -> str:
    """ "2 min ago", "3 h ago", "5 days ago"."""
    gone = max(now - then, timedelta(0))
    if gone < timedelta(minutes=1):
        return "just now"
    if gone < timedelta(hours=1):
        return f"{gone.seconds // 60} min ago"
    if gone < timedelta(days=2):
        return f"{int(gone.total_seconds() // 3600)} h ago"
    return f"{gone.days} days ago"


def moment(at: datetime) -> str:
    """ "30 Nov 13:59"."""
    return f"{at.day} {at:%b %H:%M}"


def calculated(times: Iterable[datetime | None]) -> str:
    """ "calculated 30 Nov 13:59", or from the first to the last of several; "" without any."""
    known = sorted(at for at in times if at)
    ends = dict.fromkeys(moment(at) for at in (*known[:1], *known[-1:]))
    return f"calculated {' to '.join(ends)}" if ends else ""


SKIPPED = (
    " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u202f"
    "\u205f\u3000\ufeff"
)
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"


def safe_text(text: str) -> str:
    """The text, which no spreadsheet reads as a formula."""
    start = text.lstrip(SKIPPED)[:1]
    return f"'{text}" if start and start in FORMULA_STARTS else text


def safe_cell(column: str) -> str:
    """The same as SQL for a text column; the statement binds `skipped`. Few cells pass the first
    test, which is the cheap one.
    """
    return (
        f"CASE WHEN ascii({column}) IN ({code_points(FORMULA_STARTS + SKIPPED)})"
        f" AND ascii(ltrim({column}, %(skipped)s)) IN ({code_points(FORMULA_STARTS)})"
        f" THEN '''' || {column} ELSE {column} END"
    )


def code_points(characters: str) -> str:
    return ", ".join(str(ord(character)) for character in characters)


# ---------------------------------------------------------------- words

COSTS = {"effective_cost": "Amortised", "billed_cost": "Invoiced"}
COSTS_EXPLAINED = (
    "Invoiced cost is what the bills of the month ask for; it ties to the invoices. Amortised cost"
    " spreads what was paid ahead, such as commitments, over the days that use it. Bills call them"
    " BilledCost and EffectiveCost."
)

# What is left of evidence once a cost was split: who it belongs to is known in one of these ways.
MEASURED = "measured by your traces"
SHARED_PLATFORM = "shared platform"
SHARED_OUT = "no trace, shared out"
KEPT_BY_OWNER = "no trace, kept by its owner"
UNALLOCATED = "unallocated"
KNOWN_BY = {
    1: MEASURED,
    2: MEASURED,
    3: "by the provider's report",
    4: "tagged to you",
    5: "inferred",
    6: UNALLOCATED,
}
BEST_KNOWN_FIRST = tuple(
    dict.fromkeys(
        [*list(KNOWN_BY.values())[:-1], SHARED_PLATFORM, KEPT_BY_OWNER, SHARED_OUT, UNALLOCATED]
    )
)
MEASURED_UP_TO = 3  # rungs of what callers share out among themselves; below stand owners
PLATFORM_METHODS = frozenset({"proportional", "even", "fixed"})

# What became of cost, as reports.cost_question.question tells it apart.
PARTS = {
    "attributed": "attributed",
    "shared_out": SHARED_OUT,
    "owner": "inferred",
    "unknown_coverage": "coverage unknown",
    "unallocated": UNALLOCATED,
}

# Kinds of cost that stand for themselves, however their owner is known.
OWN_KINDS = {
    "idle": "idle capacity",
    "tax": "tax",
    "credit": "credit",
    "adjustment": "adjustment",
    "commitment_unused": "unused commitment",
}
KINDS = {
    **OWN_KINDS,
    "direct": "one owner",
    "shared": "split",
    "untraced": "no trace",
    "unallocated": UNALLOCATED,
}

# What comes with the invoice, as allocation.ledger.cost_lines tells it apart.
WITH_INVOICE = {
    "tax": "tax",
    "support": "support",
    "credit": "credits",
    "adjustment": "adjustments",
    "fee": "commitment fees",
}

# What cost is of that names no model, as reports.cost_question.question tells it apart.
MODEL_GROUPS = {
    "named": "Models by name",
    "training": "Training",
    "own": "Own models on GPUs",
    "infrastructure": "Other infrastructure",
    "fees": "Fees, tax and credits",
}

METHODS = {
    "direct": "direct: the whole charge goes to one owner",
    "traced_usage": ("traced usage: each caller pays in proportion to what its spans say it used"),
    "provider_usage": (
        "provider usage: each key's owner pays in proportion to what the provider says the key used"
    ),
    "capacity": (
        "capacity: each caller pays for what its calls took of reserved capacity; the rest is its"
        " owner's"
    ),
    "gpu_usage": (
        "GPU usage: each workload pays for the GPU-seconds it booked; what nobody booked is idle"
        " capacity"
    ),
    "proportional": "proportional: split by a measured quantity",
    "even": "even: equal shares",
    "fixed": "fixed: shares set by the rule",
    "follow": "follow: split as the bill lines it relates to",
    "unallocated": "unallocated: nobody is known to owe this",
}


# Why cost has no owner, and what a run noted of a split, where the ledger's own text is no word of
# the reader's.
REASONS = {
    "untraced": "no trace",
    "outside AI scope": "outside AI",
    "not AI": "outside AI",
    "no driver data": "no usage data to split by",
    "driver is zero": "nothing was used to split by",
}
NOTES = {
    "untraced spread": "what has no trace is shared out like the rest",
    "untraced to owner": "what has no trace is kept by its owner",
    "untraced unallocated": "what has no trace is unallocated",
    "over-traced": "more is traced than billed",
    "over-traced beyond 3x": "more than three times of what is billed is traced: look for calls"
    " that are counted twice, or a unit that is misread",
    "unknown coverage": "nobody knows how much of it the traces explain",
    "split": "split by what is traced",
    "within sampling error": "what has no trace is within the sampling error",
    **REASONS,
}


DERIVED = "; coverage derived"
DERIVED_WORDS = "; how much is traced is derived from cost, or from the provider's report"
NOTES |= {f"{note}{DERIVED}": f"{words}{DERIVED_WORDS}" for note, words in NOTES.items()}
TOLD = f"{UNKNOWN_TEAM}: "


def reason_words(reason: str | None) -> str:
    """Why cost has no owner; a name that was told stands in quotes, as in "unknown team 'nobody'".
    "" for None.
    """
    if reason and reason.startswith(TOLD):
        return f"{UNKNOWN_TEAM} {quoted(reason.removeprefix(TOLD))}"
    return REASONS.get(reason, reason) if reason else ""


def known_by(kind: str, rung: int, method: str | None) -> str:
    """How it is known who owes an amount; `method` is that of the rule, None where unknown."""
    if kind == "untraced" and rung in KNOWN_BY and rung < max(KNOWN_BY):
        return SHARED_OUT if rung <= MEASURED_UP_TO else KEPT_BY_OWNER
    if method in PLATFORM_METHODS and rung < max(KNOWN_BY):
        return SHARED_PLATFORM
    return KNOWN_BY[rung]


def kind_known_by(kind: str, rung: int, method: str | None) -> str:
    """The same for amounts told by kind: what stands for itself is called by its kind."""
    return OWN_KINDS.get(kind) or known_by(kind, rung, method)


def capitalised(words: str) -> str:
    """The words at the start of a line."""
    return words[:1].upper() + words[1:]
