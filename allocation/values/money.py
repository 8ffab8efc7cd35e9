"""Exact amounts: Decimal or text to whole quanta and back. Pure."""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import gcd

LEAST_PLACES = 12  # a split is cut at least this fine; finer where the source amount is

# Wide enough for any ledger sum (15 digits before the point, 60 after); inexact results are errors,
# not roundings.
EXACT = decimal.Context(
    prec=200, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow]
)


def places_of(text: str) -> int:
    """Decimal places written in plain decimal text: "1.50" has 2."""
    return len(text.partition(".")[2])


def quanta_of(text: str, places: int) -> int:
    """Plain decimal text as whole quanta of 10**-places; raises ValueError where it is finer than
    that.

    >>> quanta_of("-1.5", 3)
    -1500
    """
    whole, _, fraction = text.partition(".")
    missing = places - len(fraction)
    if missing < 0:
        raise ValueError(f"{text} has more than {places} decimal places")
    quanta: int = int(whole + fraction) * 10**missing
    return quanta


def text_of(quanta: int, places: int) -> str:
    """Whole quanta as plain decimal text with exactly `places` places, as PostgreSQL prints numeric
    of that scale.
    """
    if quanta < 0:
        return "-" + text_of(-quanta, places)
    digits = str(quanta).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def decimal_fraction(text: str) -> Fraction:
    """Plain decimal text as a fraction, in less than half the time that Fraction takes for it."""
    places = places_of(text)
    return Fraction(quanta_of(text, places), 10**places)


def exact_text(value: Fraction) -> str:
    """A finite decimal as plain text, of no more digits than it has; raises decimal.Inexact for any
    other fraction.
    """
    places = _places_over(value.denominator)
    return text_of(value.numerator * (10**places // value.denominator), places)


@lru_cache(maxsize=4096)
def _places_over(denominator: int) -> int:
    """Decimal places of fractions in lowest terms over this denominator."""
    places, left = 0, denominator
    while left > 1:
        step = gcd(left, 10)
        if step == 1:
            raise decimal.Inexact(f"fractions over {denominator} are not finite decimals")
        places, left = places + 1, left // step
    return places


def texts_of(amounts: Sequence[int], places: int) -> list[str]:
    """`text_of` of many amounts, without a call for each where none is negative."""
    if not places:
        return list(map(str, amounts))
    if min(amounts, default=0) < 0:
        return [text_of(quanta, places) for quanta in amounts]
    return [
        f"{digits[:-places]}.{digits[-places:]}"
        if len(digits) > places
        else f"0.{digits.zfill(places)}"
        for digits in map(str, amounts)
    ]


def plain(amount: Decimal) -> str:
    """An amount for people and JSON: no exponent, no trailing zeros, "0" and never "-0"."""
    text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, never rounded; raises decimal.Inexact beyond 200 digits."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


USUAL = 2
_OTHER = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_UNITS = {code: places for places, codes in _OTHER.items() for code in codes.split()}


def minor_units(currency: str | None) -> int:
    """Decimals of the currency's minor unit: 0 for JPY, 3 for KWD; 2 for every one that the list
    names no other for.

    For reading and for what is paid. Ledger amounts are exact and never rounded to it.
    """
    return MINOR_UNITS.get(currency or "", USUAL)
