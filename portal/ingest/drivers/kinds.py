"""Kinds of driver files: what each folder beside this module registers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import models

from allocation.values.names import quoted
from portal.errors import Refused
from portal.ingest.drivers.table import Problems
from portal.registry import registered

KINDS = "portal.ingest.drivers"


@dataclass(frozen=True, slots=True)
class DeliveredRow:
    """One row to be stored, and the line that it comes from."""

    line: int
    row: models.Model


class Scope(NamedTuple):
    """What a file replaces as a whole: `subject` names whose it is, `part` which stretch of it.

    `told` is the wider stretch that answers speak of, where there are too many parts to name each.
    """

    subject: str
    part: str
    told: str

    def __str__(self) -> str:
        return f"{self.subject}, {self.told}" if self.told else self.subject


@dataclass(frozen=True, slots=True)
class Ask:
    """What a sender says beside the file: an option of commands, a field of the page and the API.

    A month is given on as its first day. `has_known`: a form offers the subjects that are there.
    """

    name: str
    help: str = ""
    is_month: bool = False
    has_known: bool = False

    @property
    def label(self) -> str:
        return self.name.capitalize()


Asked = Mapping[str, Any]  # by name of an Ask
Months = tuple[date | None, date | None]


def as_asked(asked: Asked) -> Asked:
    return asked


@dataclass(frozen=True)
class DriverKind:
    """One kind of driver data: how its files are read, told apart, added up and shown.

    `read` gives the rows of a file, and adds to the problems. `stored` gives at least the stored
    rows of the scopes of these rows. `months` are the first and the last month whose allocation
    such changed rows bear on (see Change).
    """

    name: str  # of the import, in addresses and in the API
    label: str
    help: str  # what a file holds and replaces
    model: type[models.Model]
    read: Callable[[bytes, Asked, Problems], list[DeliveredRow]]
    key: tuple[str, ...]  # what is unique
    compared: tuple[str, ...]  # what else can differ
    scope: Callable[[Any], Scope]
    stored: Callable[[Sequence[Any]], models.QuerySet[Any]]
    months: Callable[[Sequence[Any]], Months]
    measure: Callable[[Any], Decimal] | None = None  # the quantity of a row, added up in answers
    unit: str = ""  # of quantities on pages, where all of the kind have one
    check: Callable[[Sequence[DeliveredRow], Problems], None] | None = None
    tells_rows: bool = False  # a change names the rows that moved; for lists that a person keeps
    asks: tuple[Ask, ...] = ()
    understand: Callable[[Asked], Asked] = as_asked  # checks what is asked; raises Refused
    position: int = 0


def driver_kinds() -> dict[str, DriverKind]:
    """Every registered kind, by name."""
    return registered(KINDS, DriverKind)


def driver_kind(name: str) -> DriverKind:
    """Raises Refused for a name that no kind has."""
    kinds = driver_kinds()
    if name not in kinds:
        raise Refused(f"{quoted(name)} is no kind of driver file; choose from {', '.join(kinds)}")
    return kinds[name]


def months_of(days: Iterable[date]) -> Months:
    """The first and the last month of some days."""
    months = {day.replace(day=1) for day in days}
    return min(months), max(months)
