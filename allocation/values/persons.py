"""Persons are known by pseudonyms, the same wherever they are told of: in calls, seats, files."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

DIGITS = 16


@lru_cache(maxsize=16_384)
def pseudonym(told: str, key: bytes) -> str:
    """What stands for the person whose e-mail address, account or user id is told; an address is
    the same in capitals.
    """
    told = told.strip()
    who = told.lower() if "@" in told else told
    return f"p_{hmac.new(key, who.encode(), hashlib.sha256).hexdigest()[:DIGITS]}"
