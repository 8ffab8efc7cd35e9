"""Formats of bills: what each folder of `readers` registers, and which one a file is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from allocation.models import ChargeDimension
from allocation.values.names import quoted
from portal.ingest.bills.files.stream import BillFile, BillStream, first_bytes
from portal.ingest.problems import BillRefused, Problem
from portal.registry import registered

NUMBERS = (
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "ConsumedQuantity",
    "PricingQuantity",
    "CommitmentDiscountQuantity",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
)
COSTS = NUMBERS[:4]
TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
JSON_COLUMNS = (
    "AllocatedMethodDetails",
    "AllocatedTags",
    "CommitmentProgramEligibilityDetails",
    "ContractApplied",
    "SkuPriceDetails",
    "Tags",
)
TAG_COLUMNS = ("AllocatedTags", "Tags")  # flat keys and values


def focus_name(model_field: str) -> str:
    """`pricing_currency` -> `PricingCurrency`."""
    return "".join(word.capitalize() for word in model_field.split("_"))


# Fields of charge_dimension in the order in which they are hashed, with the FOCUS column each one
# holds.
DIMENSION_FIELDS: tuple[str, ...] = tuple(
    each.name
    for each in ChargeDimension._meta.concrete_fields
    if each.name not in ("id", "content_hash")
)
DIMENSION_COLUMNS: tuple[str, ...] = tuple(focus_name(name) for name in DIMENSION_FIELDS)
KNOWN: tuple[str, ...] = (
    *NUMBERS,
    *TIMES,
    *(name for name in DIMENSION_COLUMNS if name not in TIMES),
)
BY_FOLDED = {name.lower(): name for name in KNOWN}


@dataclass(frozen=True, slots=True)
class Header:
    """A delivered header, understood.

    `names` has one entry per column that the reader hands over, in order: the FOCUS name, or the
    name as delivered for a column FOCUS does not know (kept in charge.extra). `version` is that of
    FOCUS; None for a bill of another format.
    """

    names: tuple[str, ...]
    version: str | None
    unknown: tuple[str, ...]
    missing: tuple[str, ...]  # mandatory in this version, not delivered
    repairs: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class RowBatch:
    """Rows as delivered: texts by FOCUS column. Empty texts are null.

    Columns that are no numbers may be dictionary-encoded. `lines` are the lines of the file on
    which the rows start; `file` is its number in a delivery of several.
    """

    columns: dict[str, pa.Array]
    lines: npt.NDArray[np.int64]
    malformed: list[Problem] = field(default_factory=list)  # rows that have no such columns at all
    blank_lines: int = 0
    file: int = 0

    def __len__(self) -> int:
        return len(self.lines)


class Rows(Protocol):
    """A delivery being read. The counters are complete once the iteration has ended; the hashes
    are SHA-256 of the content of each file.
    """

    @property
    def header(self) -> Header: ...
    @property
    def bytes_read(self) -> int: ...
    @property
    def content_bytes(self) -> int: ...
    @property
    def file_hashes(self) -> list[str]: ...
    @property
    def repairs(self) -> dict[str, int]: ...
    def __iter__(self) -> Iterator[RowBatch]: ...
    def close(self) -> None: ...


def without_blank_lines(batch: RowBatch) -> RowBatch:
    """A line with nothing in any column is no row."""
    if not all(array.null_count for array in batch.columns.values()):
        return batch
    is_blank = np.ones(len(batch), dtype=bool)
    for array in batch.columns.values():
        is_blank &= array.is_null().to_numpy(zero_copy_only=False)
        if not is_blank.any():
            return batch
    kept = pa.array(~is_blank)
    return RowBatch(
        columns={name: array.filter(kept) for name, array in batch.columns.items()},
        lines=batch.lines[~is_blank],
        malformed=batch.malformed,
        blank_lines=int(is_blank.sum()),
    )


READERS = "portal.ingest.bills.readers"
AUTO = "auto"
FALLBACK = "focus"  # whose refusal names the columns that a file lacks
HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class FileHead:
    """How a file begins: its name as delivered, and the first bytes of its unpacked content."""

    name: str
    start: bytes

    @property
    def first_line(self) -> str:
        return self.start.lstrip().split(b"\n", 1)[0].decode(errors="replace")


@dataclass(frozen=True)
class BillFormat:
    """How bills of one format are told from others and read.

    `read` opens the files of one delivery and hands over batches of rows under FOCUS's column
    names, in a stream: of a file that has no such columns, each row is translated on the way. What
    is wrong with a row is a `Problem` of its batch, what is wrong with a file a BillRefused.
    Validation, totals and publishing are the same for all formats.
    """

    name: str  # of --format and in the API
    label: str
    files: str  # which kinds of files it comes in, for people
    recognises: Callable[[FileHead], bool]
    read: Callable[[Sequence[BillFile]], Rows]
    position: int = 0


def bill_formats() -> dict[str, BillFormat]:
    """Every registered format, by name."""
    return registered(READERS, BillFormat)


def format_choices() -> list[str]:
    """What `--format` and its like may say."""
    return [AUTO, *bill_formats()]


def check_format(name: str) -> None:
    """Raises BillRefused for a name that no format has."""
    if name not in format_choices():
        raise BillRefused(
            f"format {quoted(name)} is not known; use one of {', '.join(format_choices())}"
        )


def format_of(files: Sequence[BillFile], *, asked: str) -> BillFormat:
    """The format asked for, or the one that recognises the files. Raises BillRefused where they
    are of several.
    """
    check_format(asked)
    formats = bill_formats()
    if asked != AUTO:
        return formats[asked]
    first, *others = [(file, _recognised(file, formats)) for file in files]
    for file, other in others:
        if other != first[1]:
            raise BillRefused(
                f"{first[0].name} is a bill of the format {first[1].name}, {file.name} one of "
                f"{other.name}; deliver them one by one"
            )
    return first[1]


def _recognised(file: BillFile, formats: Mapping[str, BillFormat]) -> BillFormat:
    head = FileHead(file.name, start_of(file))
    return next((each for each in formats.values() if each.recognises(head)), formats[FALLBACK])


def start_of(file: BillFile) -> bytes:
    """The first bytes of the unpacked content; none of a file that can't be unpacked.

    What is wrong with such a file is better told by its reader, which knows where.
    """
    first_bytes(file)
    try:
        with BillStream(file) as stream:
            return stream.read(HEAD_BYTES)
    except BillRefused:
        return b""


def only_file(files: Sequence[BillFile]) -> BillFile:
    """For formats whose bills are one file. Raises BillRefused for several."""
    if len(files) != 1:
        raise BillRefused(
            f"the delivery has {len(files)} files, and a bill of this format is one; "
            "deliver them one by one"
        )
    return files[0]
