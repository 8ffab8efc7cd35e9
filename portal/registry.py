"""What grows by folders: bill formats, driver kinds, exports. Adding one is adding a folder.

A folder registers itself by holding one spec in its `__init__.py`:

    FOCUS = BillFormat(name="focus", label="FOCUS 1.0 to 1.4", ...)

Whoever offers a choice asks for all specs of the package; nothing else lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Protocol, TypeVar


class Registered(Protocol):
    """`position` orders what people choose from; equal ones are ordered by name."""

    @property
    def name(self) -> str: ...
    @property
    def position(self) -> int: ...


Spec = TypeVar("Spec", bound=Registered)


class BadRegistration(Exception):
    """A folder holds no spec, or several, or one whose name is taken."""


def registered(package: str, kind: type[Spec]) -> dict[str, Spec]:
    """The specs of this kind by name, one from each folder of the package.

    The folders are looked up on every call, along the package's `__path__`: they are few, and a
    folder that comes to that path later, as in a test, is found, too.
    """
    folders = [each.name for each in iter_modules(import_module(package).__path__) if each.ispkg]
    specs = [spec_of(f"{package}.{folder}", kind) for folder in folders]
    found = {spec.name: spec for spec in sorted(specs, key=lambda spec: (spec.position, spec.name))}
    if len(found) < len(specs):
        raise BadRegistration(f"{package}: two folders register one name")
    return found


def spec_of(folder: str, kind: type[Spec]) -> Spec:
    """The one spec of this kind that the folder's `__init__.py` holds."""
    specs = [each for each in vars(import_module(folder)).values() if isinstance(each, kind)]
    if len(specs) != 1:
        raise BadRegistration(f"{folder} holds {len(specs)} of {kind.__name__}, not one")
    return specs[0]


def modules_called(name: str, package: str) -> list[str]:
    """The modules of this name in the package and in those below it, in order. Imports only the
    package itself.
    """

    def below(prefix: str, paths: Iterable[str]) -> Iterator[str]:
        for each in iter_modules(paths):
            if each.ispkg:
                yield from below(
                    f"{prefix}.{each.name}", [str(Path(path, each.name)) for path in paths]
                )
            elif each.name == name:
                yield f"{prefix}.{name}"

    return sorted(below(package, import_module(package).__path__))
