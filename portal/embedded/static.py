"""Collecting static files into the home, once per version of them: compressing takes seconds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect_static() -> None:
    """Bring STATIC_ROOT up to date with what the finders see."""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    seen = fingerprint()
    if stamp.exists() and stamp.read_text(encoding="ascii") == seen:
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(seen, encoding="ascii")


def fingerprint() -> str:
    """Changes with any file's name, size or time of change."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list(None):
            state = Path(storage.path(name)).stat()
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
