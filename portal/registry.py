"""What grows by folders: bill formats, driver kinds, exports. Adding one is adding a folder.

A folder registers itself by holding one spec in its `__init__.py`:

    FOCUS = BillFormat(name="focus", label="FOCUS 1.0 to 1.4", ...)

Whoever offers a choice asks for all specs of the package; nothing else lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.machinery import FileFinder
from pathlib import Path
from pkgutil import ModuleInfo, iter_modules
from typing import Protocol, TypeVar, cast


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
    return by_name(package, [spec_of(f"{package}.{folder}", kind) for folder in folders])


def registered_below(package: str, kind: type[Spec]) -> dict[str, Spec]:
    """As `registered`, from all folders at any depth. One that holds no spec only groups others."""
    folders = [module.name for module in modules_below(package) if module.ispkg]
    return by_name(package, [spec for folder in folders for spec in specs_of(folder, kind)])


def modules_called(name: str, package: str) -> list[str]:
    """The modules of this name in the package and at any depth below it, not imported yet."""
    ending = f".{name}"
    below = modules_below(package)
    return [each.name for each in below if not each.ispkg and each.name.endswith(ending)]


def modules_below(package: str, paths: Iterable[str] | None = None) -> Iterator[ModuleInfo]:
    """Modules and packages below this one, by their whole names. Imports only the package itself,
    where its paths are not given.
    """
    for each in iter_modules(import_module(package).__path__ if paths is None else paths):
        found = each._replace(name=f"{package}.{each.name}")
        yield found
        if found.ispkg:
            folder = Path(cast(FileFinder, found.module_finder).path, each.name)
            yield from modules_below(found.name, [str(folder)])


def by_name(package: str, specs: list[Spec]) -> dict[str, Spec]:
    found = {spec.name: spec for spec in sorted(specs, key=lambda spec: (spec.position, spec.name))}
    if len(found) < len(specs):
        raise BadRegistration(f"{package}: two folders register one name")
    return found


def spec_of(folder: str, kind: type[Spec]) -> Spec:
    """The one spec of this kind that the folder's `__init__.py` holds."""
    specs = specs_of(folder, kind)
    if len(specs) != 1:
        raise BadRegistration(f"{folder} holds {len(specs)} of {kind.__name__}, not one")
    return specs[0]


def specs_of(folder: str, kind: type[Spec]) -> list[Spec]:
    return [each for each in vars(import_module(folder)).values() if isinstance(each, kind)]
