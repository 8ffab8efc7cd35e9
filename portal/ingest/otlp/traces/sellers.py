"""Who sells model calls, and who only passes them on."""

from __future__ import annotations

from allocation.catalogue.vocabulary import SELLERS

# Google's library names neither of its two doors; both are it.
UNNAMED_DOOR = {"gcp.gen_ai": ("gcp.gemini", "gcp.vertex_ai")}


def same_seller(one: str | None, other: str | None) -> bool:
    """Whether both can be one seller: a framework, a gateway, or nothing, names none."""
    if one == other or not {one, other} <= SELLERS:
        return True
    return other in UNNAMED_DOOR.get(str(one), ()) or one in UNNAMED_DOOR.get(str(other), ())
