"""Bills that come in over HTTP: kept under a generated name, then loaded by a job."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from portal.ingest.bills.delivery import hash_of, month_of, name_of, source_of
from portal.ingest.bills.files.gathering import check_archive, is_archive, shown_name
from portal.ingest.bills.files.stream import BillFile, first_bytes
from portal.ingest.bills.formats import AUTO, check_format
from portal.ingest.problems import BillRefused
from portal.jobs.models import Job
from portal.jobs.queue import enqueue

JOB_KIND = "import_bill"
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class DeliveredFile(Protocol):
    """What a form or a request hands over: django.core.files.File."""

    name: str | None

    def chunks(self) -> Iterable[bytes]: ...


def upload_folder() -> Path:
    folder = Path(settings.MEDIA_ROOT) / "bills"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def stored_path(sha256: str) -> Path:
    """Where the upload with this digest is. Raises BillRefused for anything that is no digest, or
    not there.
    """
    path = upload_folder() / sha256
    if not DIGEST.fullmatch(sha256) or not path.is_file():
        raise BillRefused(f"the uploaded file {sha256[:12]} is not there any more; upload it again")
    return path


def keep(file: DeliveredFile) -> str:
    """Stores the bytes once, under their own digest, never to be written again. Returns the
    digest.
    """
    digest = hashlib.sha256()
    incoming = upload_folder() / f"incoming-{uuid4().hex}"
    try:
        with incoming.open("xb") as out:
            incoming.chmod(0o600)
            for chunk in file.chunks():
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        refuse_other_kinds(BillFile(incoming, plain_name(file.name)))
        incoming.replace(upload_folder() / digest.hexdigest())
    finally:
        incoming.unlink(missing_ok=True)
    return digest.hexdigest()


def refuse_other_kinds(file: BillFile) -> None:
    """Raises BillRefused for what is neither a bill nor an archive of bills."""
    if is_archive(file):
        check_archive(file)
    else:
        first_bytes(file)


def plain_name(name: str | None) -> str:
    """The last part of a delivered file name, printable and short; it is only ever shown."""
    return shown_name(re.split(r"[/\\]", name or "")[-1])


def accept_upload(
    *,
    files: Sequence[DeliveredFile],
    source_name: str,
    delivery: str | None = None,
    format: str = AUTO,
    confirm_shrink: bool = False,
    month: str | None = None,
    created_by: str,
) -> Job:
    """Keeps the files of one delivery and asks for its import. The same ones for the same source
    while they are at work: that job.

    Raises BillRefused for what can be told at once; the rest comes out of the job.
    """
    check_format(format)
    month_of(month)
    source = source_of(source_name, delivery)
    uploads = [{"sha256": keep(file), "name": plain_name(file.name)} for file in files]
    payload = {
        "uploads": uploads,
        "source": source.name,
        "file_name": name_of([each["name"] for each in uploads]),
        "format": format,
        "confirm_shrink": confirm_shrink,
        "month": month or None,
        "created_by": created_by,
    }
    with transaction.atomic():
        # The constraint on open jobs decides between two uploads at one instant, not a look
        # beforehand.
        digest = hash_of([each["sha256"] for each in uploads])
        key = f"{JOB_KIND}:{source.pk}:{digest}" + (f":{month}" if month else "")
        return enqueue(JOB_KIND, payload, dedupe_key=key, created_by=created_by)
