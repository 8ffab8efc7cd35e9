"""Numbers as a reader sees them. Pages round here and nowhere else; exact values travel beside, for
hover and CSV.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache

from allocation.values.money import EXACT, plain

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
    ended, same.
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
        return AmountChange("ended", amount, None, places)
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
