"""The bytes of a delivered file: decompressed as a stream, capped, hashed, and refused where they
are damaged.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Semaphore

from django.conf import settings

from portal.ingest.problems import BillRefused

READ_BYTES = 1 << 20
PATIENCE_SECONDS = 1.0
RATIO_MATTERS_FROM = 16 * 1024**2  # a small file may compress well by chance
FLOOD_MATTERS_FROM = 64 * 1024
# bytes, on average; a row has ten columns or more, and a line without any still costs memory
SHORTEST_LINE = 20
BOM = b"\xef\xbb\xbf"
NUL_AS = "\ufffd".encode()

# First bytes of files that are sometimes called .csv.
FOREIGN = {
    b"PK\x03\x04": "a ZIP archive inside the delivery; deliver its files, or the archive alone",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; export comma-separated CSV",
    b"\xff\xfe": "UTF-16 (byte offset 0 holds its mark); save it as UTF-8",
    b"\xfe\xff": "UTF-16 (byte offset 0 holds its mark); save it as UTF-8",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF document; ask for the CSV form of the bill",
    b"BZh": "bzip2; compress with gzip, or not at all",
    b"\xfd7zXZ": "xz; compress with gzip, or not at all",
    b"\x28\xb5\x2f\xfd": "Zstandard; compress with gzip, or not at all",
    b"<": "HTML or XML (a sign-in page, perhaps); export comma-separated CSV",
}
PARQUET = b"PAR1"
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class BillFile:
    """One delivered file, and its name as its owner knows it: an upload is stored under another."""

    path: Path
    name: str

    @classmethod
    def at(cls, path: Path) -> BillFile:
        return cls(path, path.name)


def start_bytes(file: BillFile) -> bytes:
    """The first eight bytes. Raises BillRefused for a file that can't be read."""
    try:
        with file.path.open("rb") as opened:
            return opened.read(8)
    except OSError as error:
        raise BillRefused(
            f"{file.name}: {error.strerror}; check the path and that this account may read it"
        ) from error


def first_bytes(file: BillFile) -> bytes:
    """The first eight bytes. Raises BillRefused for a file that can't be read or is of another
    kind.
    """
    start = start_bytes(file)
    if not start:
        raise BillRefused(f"{file.name}: the file is empty (0 bytes); deliver it again")
    for mark, what in FOREIGN.items():
        if start.startswith(mark):
            raise BillRefused(f"{file.name}: this is {what}")
    return start


def refuse_too_much(name: str, unpacked: int, packed: int) -> None:
    """Raises BillRefused for what unpacks to more bytes, or to more for each of its own, than a
    bill does.
    """
    if unpacked > settings.IMPORT_MAX_BYTES:
        raise BillRefused(
            f"{name}: more than {settings.IMPORT_MAX_BYTES:,} bytes of content; deliver it in "
            "parts, or raise IMPORT_MAX_BYTES"
        )
    if unpacked > RATIO_MATTERS_FROM and unpacked > settings.IMPORT_MAX_RATIO * packed:
        raise BillRefused(
            f"{name}: unpacks to more than {settings.IMPORT_MAX_RATIO} times its size, as no bill "
            "does; deliver it as plain CSV, or raise IMPORT_MAX_RATIO"
        )


class BillStream(io.RawIOBase):
    """Decompressed bytes of a CSV or CSV.gz file.

    Every member of a gzip file is read; an end inside one, or anything after the last, raises
    BillRefused, as do more than IMPORT_MAX_BYTES of output or IMPORT_MAX_RATIO times the input.
    NUL, which PostgreSQL can't hold, comes out as U+FFFD and is counted. `sha256` and the counters
    are over the content as delivered.
    """

    def __init__(self, file: BillFile) -> None:
        super().__init__()
        self.name = file.name
        self._file = file.path.open("rb")
        self.is_gzip = self._file.peek(2)[:2] == GZIP
        self._inflate = zlib.decompressobj(wbits=31)
        self._between_members = True
        self._input = b""
        self._unread = b""
        self.bytes_in = 0
        self.bytes_out = 0
        self.quotes = 0
        self.nuls = 0
        self._digest = hashlib.sha256()
        self._credit: Semaphore | None = None
        self._has_cr_lines = False
        self._stopped = False
        self._ended = Event()

    def limit_read_ahead(self, reads: int) -> None:
        """Lets a reader in another thread be this many reads ahead of `one_used`; Arrow would fetch
        32 blocks.
        """
        self._credit = Semaphore(reads)

    def one_used(self) -> None:
        if self._credit is not None:
            self._credit.release()

    def stop(self) -> None:
        """Ends the content here, and waits for a reader in another thread to have seen it.

        Arrow's own threads must not be inside this object when the interpreter ends.
        """
        self._stopped = True
        if self._credit is not None:
            self._credit.release(100)
            self._ended.wait(timeout=2)

    def read_cr_lines(self) -> None:
        """From here on CR ends a line; also in what was put back."""
        self._has_cr_lines = True
        self._unread = self._unread.replace(b"\r", b"\n")

    def readable(self) -> bool:
        return True

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def push_back(self, data: bytes) -> None:
        """Puts already returned bytes in front of what is read next."""
        self._unread = data + self._unread

    def read(self, size: int = -1, /) -> bytes:
        """Exactly `size` bytes unless the content ends."""
        if self._credit is not None and not self._stopped:
            # A block may give no batch, so never wait for good.
            self._credit.acquire(timeout=PATIENCE_SECONDS)
        part = b""
        try:
            if not self._stopped:
                part = self._next(READ_BYTES if size is None or size < 0 else size)
        finally:
            if not part:
                self._ended.set()
        return part

    def _next(self, size: int) -> bytes:
        parts = [self._unread[:size]] if self._unread else []
        self._unread = self._unread[size:]
        wanted = size - sum(map(len, parts))
        while wanted > 0:
            part = self._inflated(wanted) if self.is_gzip else self._plain(wanted)
            if not part:
                break
            wanted -= len(part)
            parts.append(self._checked(part))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _checked(self, part: bytes) -> bytes:
        self._digest.update(part)
        self.bytes_out += len(part)
        self.quotes += part.count(b'"')
        if self._has_cr_lines:
            part = part.replace(b"\r", b"\n")
        refuse_too_much(self.name, self.bytes_out, self.bytes_in)
        if len(part) >= FLOOD_MATTERS_FROM and part.count(b"\n") * SHORTEST_LINE > len(part):
            raise BillRefused(
                f"{self.name}: most lines are blank or nearly so around byte {self.bytes_out:,} of "
                "the content; this is no bill, export it again"
            )
        if b"\0" in part:
            self.nuls += part.count(b"\0")
            part = part.replace(b"\0", NUL_AS)
        return part

    def _plain(self, wanted: int) -> bytes:
        part = self._file.read(wanted)
        self.bytes_in += len(part)
        return part

    def _fill(self) -> bool:
        if not self._input:
            self._input = self._file.read(READ_BYTES)
            self.bytes_in += len(self._input)
        return bool(self._input)

    def _inflated(self, wanted: int) -> bytes:
        while True:
            has_input = self._fill()
            if self._between_members:
                if not has_input:
                    return b""
                self._start_member()
            elif not has_input:
                raise BillRefused(
                    f"{self.name}: the gzip data ends in the middle, after {self.bytes_out:,} "
                    "bytes of content; nothing was loaded, deliver the whole file again"
                )
            try:
                part = self._inflate.decompress(self._input, wanted)
            except zlib.error as error:
                raise BillRefused(
                    f"{self.name}: the gzip data is damaged after {self.bytes_out:,} bytes of "
                    f"content ({error}); nothing was loaded, deliver the file again"
                ) from error
            if self._inflate.eof:
                self._input = self._inflate.unused_data
                self._between_members = True
            else:
                self._input = self._inflate.unconsumed_tail
            if part:
                return part

    def _start_member(self) -> None:
        if len(self._input) < len(GZIP):
            more = self._file.read(READ_BYTES)
            self.bytes_in += len(more)
            self._input += more
        if not self._input.startswith(GZIP):
            raise BillRefused(
                f"{self.name}: {len(self._input):,} or more bytes follow the end of the gzip data "
                "and are not gzip; nothing was loaded, deliver the file again"
            )
        self._inflate = zlib.decompressobj(wbits=31)
        self._between_members = False

    def close(self) -> None:
        self.stop()
        self._file.close()
        super().close()


def invalid_utf8_at(file: BillFile) -> int | None:
    """The byte offset, in the decompressed content, of the first byte that is not UTF-8; None where
    all of it is.
    """
    offset, tail = 0, b""
    with BillStream(file) as stream:
        while part := stream.read(READ_BYTES):
            data = tail + part
            try:
                data.decode()
                offset, tail = offset + len(data), b""
            except UnicodeDecodeError as error:
                cut_off = error.reason == "unexpected end of data" and error.end == len(data)
                if not cut_off:
                    return offset + error.start
                offset, tail = offset + error.start, data[error.start :]
    return offset if tail else None
