"""What a stretch of work takes, from /proc: memory and processor time of this process and of the
database server.

Memory is this process's resident memory plus the private memory (RssAnon) of every process of the
server, which is what backends and their parallel workers take for sorting and hashing. The server's
shared buffer cache is not counted: its size is a setting, and it stands before and after. Looked at
twenty times a second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

PROC = Path("/proc")
EVERY_SECONDS = 0.05


@dataclass
class ResourcePeak:
    """Kilobytes at the most, and seconds; `whole_kb` is the most of both at one time. 0 where /proc
    cannot be read.
    """

    process_kb: int = 0
    database_kb: int = 0
    whole_kb: int = 0
    process_cpu: float = 0
    database_cpu: float = 0

    def look(self, server: str) -> None:
        own = kilobytes("self", "VmRSS")
        database = sum(kilobytes(pid, "RssAnon") for pid in children(server))
        self.process_kb = max(self.process_kb, own)
        self.database_kb = max(self.database_kb, database)
        self.whole_kb = max(self.whole_kb, own + database)

    def as_json(self) -> dict[str, float]:
        return {
            "cpu_seconds": round(self.process_cpu, 2),
            "database_cpu_seconds": round(self.database_cpu, 2),
            "peak_mb": -(-self.whole_kb // 1024),
            "process_peak_mb": -(-self.process_kb // 1024),
            "database_peak_mb": -(-self.database_kb // 1024),
        }


@contextmanager
def watched() -> Iterator[ResourcePeak]:
    """What the block took, once it has ended."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = parent(str(cursor.fetchone()[0]))
    taken, ended = ResourcePeak(), threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY_SECONDS):
            taken.look(server)

    thread = threading.Thread(target=watch, daemon=True)
    before = processor_seconds(), server_seconds(server)
    thread.start()
    try:
        yield taken
    finally:
        ended.set()
        thread.join()
        taken.process_cpu = processor_seconds() - before[0]
        taken.database_cpu = server_seconds(server) - before[1]


def processor_seconds() -> float:
    times = os.times()
    return times.user + times.system


def kilobytes(pid: str, name: str) -> int:
    """A line of /proc/<pid>/status; 0 for a process that is gone or that has no such line."""
    return next(
        (
            int(line.split()[1])
            for line in read(pid, "status").splitlines()
            if line.startswith(f"{name}:")
        ),
        0,
    )


def read(pid: str, name: str) -> str:
    try:
        return (PROC / pid / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def stat(pid: str) -> list[int]:
    """The numbers of /proc/<pid>/stat from the parent's id (field 4) on; none for a process that is
    gone.
    """
    return [int(word) for word in read(pid, "stat").rpartition(")")[2].split()[1:]]


def parent(pid: str) -> str:
    return str(stat(pid)[0]) if stat(pid) else "0"


def children(pid: str) -> list[str]:
    return read(pid, f"task/{pid}/children").split()


def server_seconds(server: str) -> float:
    """Processor seconds of the server's processes that run, and of those that ended (fields 14 to
    17).
    """
    ticks = sum(sum(stat(pid)[10:14]) for pid in [server, *children(server)])
    return ticks / os.sysconf("SC_CLK_TCK")
