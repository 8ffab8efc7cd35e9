"""How many deliberate faults the tests find: mutants of the modules that decide about money, by
module.

Copies the project to a temporary folder, lets mutmut change one thing at a time there, and runs the
tests that need no database against each change. Prints the share of mutants that some test found,
and, with --survivors, what it was that no test noticed. Exit status 1 where a module is below the
least share.

Most that survive change nothing that can be seen: `zip(strict=...)` over lists of one length,
format "F" for "f", the start of a sum, a shortcut that gives what the long way gives, 32 days for
31 into the next month, local time for UTC where the process runs in UTC.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = (  # of allocation
    "values/money",
    "values/periods",
    "values/split",
    "rules/conditions",
    "rules/methods",
    "rules/rules",
    "usage/facts",
    "usage/index",
    "plans/planner",
    "plans/shared",
    "plans/traced",
    "ledger/cutting",
)
TESTS = (  # of tests/allocation, those that need no database
    "values",
    "rules/test_conditions.py",
    "rules/test_messages.py",
    "rules/test_rules.py",
    "usage/test_facts.py",
    "usage/test_index.py",
    "plans",
    "ledger/test_cutting.py",
)
LEAST = 85  # percent
CONFIG = """[mutmut]
source_paths=
    allocation
only_mutate=
{modules}
also_copy=
    portal
    reports
    manage.py
    templates
    static
pytest_add_cli_args=
    -p
    no:randomly
    --hypothesis-profile=mutants
pytest_add_cli_args_test_selection=
{tests}
use_git_change_detection=false
"""
# Exit statuses of a mutant's test run, as mutmut keeps them.
SURVIVED, NO_TEST, SKIPPED = (0,), (5, 33), (34,)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--survivors", action="store_true", help="show each change that no test found"
    )
    parser.add_argument(
        "--only", nargs="*", default=MODULES, choices=MODULES, help="only these modules"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="apportion-mutants-"))
    try:
        prepare(folder, tuple(arguments.only))
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", "2"], cwd=folder, check=False
        )
        results = {module: found_of(folder, module) for module in arguments.only}
        report(results)
        if arguments.survivors:
            show(folder, results)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(any(score(found) < LEAST for found in results.values()))


def prepare(folder: Path, modules: tuple[str, ...]) -> None:
    """A copy of the project whose configuration is mutmut's."""
    for name in ("allocation", "portal", "reports", "tests", "templates", "static"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("manage.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    tests = [f"    tests/allocation/{name}" for name in TESTS]
    chosen = [f"    allocation/{name}.py" for name in modules]
    (folder / "setup.cfg").write_text(
        CONFIG.format(modules="\n".join(chosen), tests="\n".join(tests))
    )


def found_of(folder: Path, module: str) -> dict[str, int | None]:
    """Exit status of the tests by mutant; None where they were not run."""
    meta = json.loads((folder / "mutants" / "allocation" / f"{module}.py.meta").read_text())
    statuses: dict[str, int | None] = meta["exit_code_by_key"]
    return {name: status for name, status in statuses.items() if status not in SKIPPED}


def score(found: dict[str, int | None]) -> float:
    return 100 * sum(is_found(status) for status in found.values()) / max(len(found), 1)


def is_found(status: int | None) -> bool:
    return status is not None and status not in SURVIVED + NO_TEST


def report(results: dict[str, dict[str, int | None]]) -> None:
    print(f"\n{'module':<18}{'mutants':>9}{'found':>7}{'score':>8}")
    everything = {
        f"{module}.{name}": status
        for module, found in results.items()
        for name, status in found.items()
    }
    for module, found in [*results.items(), ("all", everything)]:
        print(
            f"{module:<18}{len(found):>9}{sum(map(is_found, found.values())):>7}"
            f"{score(found):>7.1f}%"
        )


def show(folder: Path, results: dict[str, dict[str, int | None]]) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    for found in results.values():
        for name in (name for name, status in found.items() if not is_found(status)):
            command = [sys.executable, "-m", "mutmut", "show", name]
            shown = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=False, env=environment
            )
            print(f"\n{shown.stdout}", end="")


if __name__ == "__main__":
    sys.exit(main())
