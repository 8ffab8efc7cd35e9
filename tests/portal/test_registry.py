"""The registry: a folder with one spec is found; a folder without, or a name taken, is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portal.registry import BadRegistration, modules_called, registered, registered_below

PACKAGE = "growing"


@dataclass(frozen=True)
class Tool:
    name: str
    position: int = 0


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package that can be imported."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [each for each in sys.modules if each.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def put(package: Path, folder: str, *specs: str) -> None:
    (package / folder).mkdir()
    lines = [f"TOOL_{number} = Tool({spec})" for number, spec in enumerate(specs)]
    text = "\n".join([f"from {__name__} import Tool", *lines])
    (package / folder / "__init__.py").write_text(text, encoding="utf-8")


def test_each_folder_registers_one_spec_and_modules_register_none(package: Path) -> None:
    (package / "reading.py").write_text("NAME = 'no spec'", encoding="utf-8")
    put(package, "saw", "'saw', 1")
    put(package, "axe", "'axe', 2")
    put(package, "awl", "'awl', 2")

    found = registered(PACKAGE, Tool)

    assert list(found) == ["saw", "awl", "axe"]
    assert found["saw"].position == 1


def test_a_folder_that_comes_later_is_found_too(package: Path) -> None:
    put(package, "saw", "'saw'")
    before = registered(PACKAGE, Tool)
    put(package, "plane", "'plane'")

    assert (list(before), list(registered(PACKAGE, Tool))) == (["saw"], ["plane", "saw"])


@pytest.mark.parametrize("specs", [(), ("'saw'", "'plane'")])
def test_a_folder_with_no_spec_or_with_two_is_refused(
    package: Path, specs: tuple[str, ...]
) -> None:
    put(package, "tools", *specs)

    with pytest.raises(BadRegistration, match=rf"growing\.tools holds {len(specs)} of Tool"):
        registered(PACKAGE, Tool)


def test_two_folders_with_one_name_are_refused(package: Path) -> None:
    put(package, "saw", "'saw'")
    put(package, "plane", "'saw'")

    with pytest.raises(BadRegistration, match="two folders register one name"):
        registered(PACKAGE, Tool)


def test_folders_at_any_depth_register_and_others_only_group(package: Path) -> None:
    put(package, "hand")
    put(package / "hand", "saw", "'saw', 2")
    put(package, "vice", "'vice', 1")

    assert list(registered_below(PACKAGE, Tool)) == ["vice", "saw"]
    assert registered_below(f"{PACKAGE}.vice", Tool) == {}


def test_two_folders_with_one_name_are_refused_at_any_depth(package: Path) -> None:
    put(package, "hand")
    put(package / "hand", "saw", "'saw'")
    put(package, "saw", "'saw'")

    with pytest.raises(BadRegistration, match="two folders register one name"):
        registered_below(PACKAGE, Tool)


def test_modules_of_a_name_are_found_at_any_depth_without_importing_them(package: Path) -> None:
    put(package, "hand")
    put(package, "sharpen")  # a package is no module of that name
    (package / "sharpen" / "again.py").touch()
    (package / "hand" / "sharpen.py").write_text("raise RuntimeError", encoding="utf-8")

    assert modules_called("sharpen", PACKAGE) == [f"{PACKAGE}.hand.sharpen"]
