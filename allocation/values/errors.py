"""Why an allocation did not come about."""

from __future__ import annotations


class AllocationError(Exception):
    """An allocation cannot be carried out; nothing readers see has changed."""


class AllocationBusy(AllocationError):
    """Another allocation of the same month is under way."""


class NotBalanced(AllocationError):
    """Shares do not add up to the charges: a fault of this program, so the run is not published."""
