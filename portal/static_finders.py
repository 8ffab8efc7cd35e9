"""Finds scripts inside installed wheels, so that no copy of them lives in this repository."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plotly
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage

# Address below STATIC_URL -> file in a wheel.
PACKAGED = {"plotly/plotly.min.js": Path(plotly.__file__).parent / "package_data" / "plotly.min.js"}


class PackagedScriptFinder(BaseFinder):
    def check(self, **_kwargs: Any) -> list[CheckMessage]:
        return []

    def find(self, path: str, find_all: bool = False, **_kwargs: Any) -> Any:
        found = PACKAGED.get(path)
        if found is None or not found.is_file():
            return []
        return [str(found)] if find_all else str(found)

    def list(self, _ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        for path, file in PACKAGED.items():
            storage = FileSystemStorage(location=file.parent)
            storage.prefix = str(Path(path).parent)  # type: ignore[attr-defined]
            yield file.name, storage
