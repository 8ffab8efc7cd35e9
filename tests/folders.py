"""A folder that is put beside a package's own ones, as somebody who adds a format would."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest


@contextmanager
def one_more_folder(package: str, name: str, text: str, *, beside: Path) -> Iterator[None]:
    """While inside, `package.name` is a package whose `__init__.py` holds this text."""
    (beside / name).mkdir()
    (beside / name / "__init__.py").write_text(text, encoding="utf-8")
    module = import_module(package)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "__path__", [*module.__path__, str(beside)])
        try:
            yield
        finally:
            sys.modules.pop(f"{package}.{name}", None)
            vars(module).pop(name, None)
