"""The shape of the code: floors, arrows, circles, and what lies under one executive figure.

    .venv/bin/python benchmarks/structure.py [--before COMMIT] [--table docs/architecture.md]

Reads imports, not running code. A module is a file with code of portal, reports or allocation;
migrations and empty `__init__` files are none. What lies *under one executive figure* are the
modules that the executive page, the command that allocates a month, and the loading of a FOCUS bill
import, directly or not, inside functions too. *Floors* are the modules of the longest chain of
imports inside allocation; *circles* groups of modules that import each other. With --before the
same is measured of an earlier commit, for comparison; with --table the outcome replaces the table
between the markers.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("allocation", "reports", "portal")
BEGIN, END = "<!-- structure: begin -->", "<!-- structure: end -->"
# Where an executive figure comes from: the page, the run, the bill. Of names for the same thing in
# different versions the first that is there counts.
STARTS = (
    ("portal.pages.spend.executive.views", "portal.pages.executive"),
    ("portal.management.commands.allocate",),
    ("portal.ingest.bills.delivery", "portal.ingest.bills"),
    ("portal.ingest.bills.readers.focus", "portal.ingest.focus.load"),
)
# Inside allocation each package imports only what stands before it.
ORDER = ("values", "storage", "models", "catalogue", "organisation", "rules", "usage", "charges",
         "plans", "ledger", "runs", "preview", "planning")  # fmt: skip


@dataclass(frozen=True)
class ModuleTree:
    """The modules of a checkout by name."""

    root: Path

    @cached_property
    def sources(self) -> dict[str, str]:
        found = {}
        for package in PACKAGES:
            for path in sorted((self.root / package).rglob("*.py")):
                name = ".".join(path.relative_to(self.root).with_suffix("").parts)
                text = path.read_text(encoding="utf-8")
                if "migrations" not in path.parts:
                    found[name.removesuffix(".__init__")] = text
        return found

    @cached_property
    def parsed(self) -> dict[str, ast.Module]:
        return {name: ast.parse(text) for name, text in self.sources.items()}

    @cached_property
    def imports(self) -> dict[str, frozenset[str]]:
        """What each module imports of the others, inside functions too."""
        return {name: frozenset(self._imported(name)) for name in self.sources}

    def _imported(self, name: str) -> Iterator[str]:
        for node in ast.walk(self.parsed[name]):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [each if each in self.sources else node.module for each in whole]
            else:
                continue
            yield from (each for each in names if each in self.sources and each != name)

    def under(self, starts: Iterable[str]) -> set[str]:
        """The modules that these import, directly or not, and they themselves."""
        found: set[str] = set()
        left = list(starts)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.imports[name]
        return found

    def under_figure(self) -> set[str]:
        """Modules with code under one executive figure."""
        starts = [next(name for name in names if name in self.sources) for names in STARTS]
        return {name for name in self.under(starts) if self.parsed[name].body[1:]}

    def floors(self, package: str) -> int:
        """Modules of the longest chain of imports inside the package."""
        return max(self._depths(package).values(), default=0)

    def _depths(self, package: str) -> dict[str, int]:
        own = {name for name in self.sources if name.split(".")[0] == package}
        depths: dict[str, int] = {}

        def depth(name: str, above: frozenset[str]) -> int:
            if name not in depths:
                below = [m for m in self.imports[name] & own if m not in above]
                depths[name] = 1 + max((depth(m, above | {name}) for m in below), default=0)
            return depths[name]

        for name in sorted(own):
            depth(name, frozenset())
        return depths

    def circles(self) -> list[set[str]]:
        """Groups of modules that import each other, directly or not."""
        reach = {name: self.under([name]) for name in self.sources}
        found: list[set[str]] = []
        for name in sorted(self.sources):
            if not any(name in circle for circle in found):
                circle = {other for other in reach[name] if name in reach[other]}
                if len(circle) > 1:
                    found.append(circle)
        return found

    def climbs(self) -> list[tuple[str, str]]:
        """Imports against the order of the packages."""
        rank = {f"allocation.{name}": n for n, name in enumerate(ORDER)}
        rank |= {"reports": len(ORDER), "portal": len(ORDER) + 1}

        def place(name: str) -> int | None:
            parts = name.split(".")
            return rank.get(parts[0], rank.get(".".join(parts[:2])))

        return [
            (name, other)
            for name, others in sorted(self.imports.items())
            for other in sorted(others)
            if (own := place(name)) is not None and (its := place(other)) is not None and its > own
        ]

    def file_lines(self) -> list[int]:
        return [text.count("\n") for text in self.sources.values() if text.strip()]

    def function_lines(self) -> list[int]:
        return [
            (node.end_lineno or node.lineno) - node.lineno + 1
            for tree in self.parsed.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]


def measured(tree: ModuleTree) -> dict[str, str]:
    """The table's rows: what is measured, and the figure."""
    figure = tree.under_figure()
    arrows = sum(len(tree.imports[name] & figure) for name in figure)
    lines = sum(tree.sources[name].count("\n") for name in figure)
    return {
        "modules under one executive figure": str(len(figure)),
        "lines in them": f"{lines:,}",
        "arrows between them": str(arrows),
        "floors of `allocation`": str(tree.floors("allocation")),
        "circles": str(len(tree.circles())),
        "imports against the order of packages": str(len(tree.climbs())),
        "modules, all": str(len(tree.file_lines())),
        "lines, all": f"{sum(tree.file_lines()):,}",
        "lines of a file (median, 90th percentile, most)": spread(tree.file_lines()),
        "lines of a function (median, 90th percentile, most)": spread(tree.function_lines()),
    }


def spread(sizes: list[int]) -> str:
    ninetieth = statistics.quantiles(sizes, n=10)[-1]
    return f"{statistics.median(sizes):.0f}, {ninetieth:.0f}, {max(sizes)}"


def checkout(commit: str, folder: Path) -> ModuleTree:
    """The packages as they stood at a commit, in a folder."""
    archive = subprocess.run(
        ["git", "archive", commit, *PACKAGES], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return ModuleTree(folder)


def table(columns: Mapping[str, Mapping[str, str]]) -> str:
    names = list(columns)
    rows = [["", *names], ["---", *["---:"] * len(names)]]
    rows += [[what, *(columns[name][what] for name in names)] for what in columns[names[0]]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def replaced(text: str, made: str) -> str:
    """The text with another table between the markers."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", metavar="COMMIT")
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    columns = {"now": measured(ModuleTree(ROOT))}
    if options.before:
        with tempfile.TemporaryDirectory() as folder:
            columns = {options.before: measured(checkout(options.before, Path(folder))), **columns}
    made = table(columns)
    if options.table:
        text = options.table.read_text(encoding="utf-8")
        options.table.write_text(replaced(text, made), encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
