"""The month that several commands take as an argument."""

from __future__ import annotations

import argparse

from allocation.values.periods import BadPeriod, Period


def month_argument(text: str) -> Period:
    """argparse type: wrong usage, exit status 2, where the text is no month."""
    try:
        return Period.parse(text)
    except BadPeriod as error:
        raise argparse.ArgumentTypeError(str(error)) from None
