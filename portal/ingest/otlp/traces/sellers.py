"""Who sells model calls, and who only passes them on."""

from __future__ import annotations

from allocation.catalogue.vocabulary import SELLERS, UNNAMED_DOORS


def same_seller(one: str | None, other: str | None) -> bool:
    """Whether both can be one seller: a framework, a gateway, or nothing, names none."""
    if one == other or not {one, other} <= SELLERS:
        return True
    return other in UNNAMED_DOORS.get(str(one), ()) or one in UNNAMED_DOORS.get(str(other), ())
