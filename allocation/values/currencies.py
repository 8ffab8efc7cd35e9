"""Minor units of currencies: how many decimals an amount is paid in. ISO 4217, list one, of
2026-01-01.
"""

from __future__ import annotations

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
