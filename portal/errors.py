"""Failures that a person can put right."""

from __future__ import annotations


class Refused(Exception):
    """Input the portal won't take. The message says what, where, and what to do; it is shown as it
    is.
    """
