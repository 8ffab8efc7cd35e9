"""Bills that come in over HTTP: kept under a generated name, then loaded by a job."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from portal.ingest.bills.delivery import month_of, source_of
from portal.ingest.bills.files.stream import first_bytes
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
        first_bytes_of_upload(incoming, plain_name(file.name))
        incoming.replace(upload_folder() / digest.hexdigest())
    finally:
        incoming.unlink(missing_ok=True)
    return digest.hexdigest()


def first_bytes_of_upload(path: Path, name: str) -> None:
    """Raises BillRefused, naming the file as its owner knows it, for what is no bill."""
    try:
        first_bytes(path)
    except BillRefused as refusal:
        raise BillRefused(str(refusal).replace(path.name, name)) from None


def plain_name(name: str | None) -> str:
    """The last part of a delivered file name, printable and short; it is only ever shown."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(character for character in last if character.isprintable())[:200] or "bill"


def accept_upload(
    *,
    file: DeliveredFile,
    source_name: str,
    delivery: str | None = None,
    format: str = AUTO,
    confirm_shrink: bool = False,
    month: str | None = None,
    created_by: str,
) -> Job:
    """Keeps the file and asks for its import. The same file for the same source while one is at
    work: that job.

    Raises BillRefused for what can be told at once; the rest comes out of the job.
    """
    check_format(format)
    month_of(month)
    source = source_of(source_name, delivery)
    digest = keep(file)
    payload = {
        "upload": digest,
        "source": source.name,
        "file_name": plain_name(file.name),
        "format": format,
        "confirm_shrink": confirm_shrink,
        "month": month or None,
        "created_by": created_by,
    }
    with transaction.atomic():
        # The constraint on open jobs decides between two uploads at one instant, not a look
        # beforehand.
        key = f"{JOB_KIND}:{source.pk}:{digest}" + (f":{month}" if month else "")
        return enqueue(JOB_KIND, payload, dedupe_key=key, created_by=created_by)
