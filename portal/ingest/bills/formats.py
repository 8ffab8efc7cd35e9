"""Formats of bills: what each folder of `readers` registers, and which one a file is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocation.values.names import quoted
from portal.ingest.bills.files.stream import BillStream, first_bytes
from portal.ingest.bills.load.batches import Rows
from portal.ingest.problems import BillRefused
from portal.registry import registered

READERS = "portal.ingest.bills.readers"
AUTO = "auto"
FALLBACK = "focus"  # whose refusal names the columns that a file lacks
HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Head:
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
    recognises: Callable[[Head], bool]
    read: Callable[[Sequence[Path]], Rows]
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


def format_of(path: Path, *, name: str, asked: str) -> BillFormat:
    """The format asked for, or the one that recognises the file. Raises BillRefused."""
    check_format(asked)
    formats = bill_formats()
    if asked != AUTO:
        return formats[asked]
    head = Head(name, start_of(path))
    return next((each for each in formats.values() if each.recognises(head)), formats[FALLBACK])


def start_of(path: Path) -> bytes:
    """The first bytes of the unpacked content; none of a file that can't be unpacked.

    What is wrong with such a file is better told by its reader, which knows where.
    """
    first_bytes(path)
    try:
        with BillStream(path) as stream:
            return stream.read(HEAD_BYTES)
    except BillRefused:
        return b""


def only_file(files: Sequence[Path]) -> Path:
    """For formats whose bills are one file. Raises BillRefused for several."""
    if len(files) != 1:
        raise BillRefused(
            f"the delivery has {len(files)} files, and a bill of this format is one; "
            "deliver them one by one"
        )
    return files[0]
