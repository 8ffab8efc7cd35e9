"""The files of one delivery: paths as given, what a folder holds, what an archive holds."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from portal.ingest.bills.files.stream import (
    READ_BYTES,
    BillFile,
    refuse_too_much,
    start_bytes,
)
from portal.ingest.problems import BillRefused

ZIP = b"PK\x03\x04"
MOST_FILES = 1000  # of one delivery
MOST_DIRECTORY_BYTES = 1 << 20  # of an archive's own list of its members
WORKBOOK = "[Content_Types].xml"  # the member that makes an archive an Excel workbook
# What exports and computers put beside a delivery's files.
NO_CONTENT = frozenset({"manifest.json", "_manifest.json", "_success", "__macosx"})


def files_at(paths: Sequence[Path]) -> list[BillFile]:
    """The files at these paths, those of a folder in the order of their names. Raises BillRefused
    for a path with nothing to load.
    """
    found = [file for path in paths for file in (_files_in(path) if path.is_dir() else [path])]
    for path in found:
        start_bytes(BillFile(path, str(path)))  # where it can't be read, the whole path helps
    names = Counter(path.name for path in found)
    return [BillFile(path, path.name if names[path.name] == 1 else str(path)) for path in found]


def _files_in(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_content(path.name)]
    if not files:
        raise BillRefused(f"{folder}: the folder holds no files; check the path")
    return files


def _is_content(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in NO_CONTENT


@contextmanager
def unpacked(files: Sequence[BillFile]) -> Iterator[list[BillFile]]:
    """The files, an archive replaced by what it holds, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="apportion-bill-") as folder:
        found: list[BillFile] = []
        for file in files:
            found += _members(file, Path(folder), len(found)) if is_archive(file) else [file]
        _refuse_too_many(files[0], len(found))
        yield found


def is_archive(file: BillFile) -> bool:
    return start_bytes(file).startswith(ZIP)


def check_archive(archive: BillFile) -> None:
    """Raises BillRefused, before anything is unpacked, for what is no archive of bills."""
    with _opened(archive) as held:
        _wanted(held, archive)


def _members(archive: BillFile, folder: Path, first: int) -> list[BillFile]:
    """The archive's files in the order of their names, under numbers of this portal's own."""
    files, unpacked_bytes = [], 0
    packed_bytes = archive.path.stat().st_size
    with _opened(archive) as held:
        for number, member in enumerate(_wanted(held, archive), start=first):
            file = BillFile(folder / str(number), shown_name(member.filename))
            with held.open(member) as packed, file.path.open("xb") as out:
                while part := packed.read(READ_BYTES):
                    unpacked_bytes += len(part)
                    refuse_too_much(archive.name, unpacked_bytes, packed_bytes)
                    out.write(part)
            files.append(file)
    return files


@contextmanager
def _opened(archive: BillFile) -> Iterator[ZipFile]:
    try:
        with BoundedReads(archive) as opened, ZipFile(opened) as held:
            yield held
    # RuntimeError: a password is needed.
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BillRefused(
            f"{archive.name}: this is a ZIP archive or an Excel workbook that can't be unpacked "
            f"({error}); deliver it again, or its files"
        ) from error


def _wanted(held: ZipFile, archive: BillFile) -> list[ZipInfo]:
    """The members to load, in the order of their names."""
    if WORKBOOK in held.NameToInfo:
        raise BillRefused(f"{archive.name}: this is an Excel workbook; export comma-separated CSV")
    members = [
        member
        for member in held.infolist()
        if not member.is_dir()
        and all(_is_content(part) or part == ".." for part in member.filename.split("/"))
    ]
    if not members:
        raise BillRefused(f"{archive.name}: the archive holds no files; pack the bill again")
    _refuse_too_many(archive, len(members))
    return sorted(members, key=lambda member: member.filename)


def _refuse_too_many(file: BillFile, count: int) -> None:
    if count > MOST_FILES:
        raise BillRefused(
            f"{file.name}: {count:,} files, and a delivery has at most {MOST_FILES:,}; deliver it "
            "in parts"
        )


def shown_name(name: str) -> str:
    """A name that came with the content; it is only ever shown."""
    return "".join(each for each in name if each.isprintable())[:200] or "bill"


class BoundedReads(io.FileIO):
    """The archive's bytes. ZipFile reads an archive's own list of its members at once, and a forged
    one has millions.
    """

    def __init__(self, archive: BillFile) -> None:
        super().__init__(archive.path)
        self._name = archive.name

    def read(self, size: int | None = -1, /) -> bytes:
        too_much = MOST_DIRECTORY_BYTES + 1
        found = super().read(too_much if size is None or size < 0 else min(size, too_much))
        if len(found) == too_much:
            raise BillRefused(
                f"{self._name}: the archive's list of its files is longer than "
                f"{MOST_DIRECTORY_BYTES:,} bytes; an archive holds at most {MOST_FILES:,} files"
            )
        return found
