"""How exactly cost is attributed, against the demo's truth. One JSON line for each scenario and
seed, each on a database of its own; with `--table` a page for docs/ too.

    .venv/bin/python benchmarks/accuracy.py [--scale X] [SCENARIO ...]
        [--policy auto|spread|owner|unallocated]
    .venv/bin/python benchmarks/accuracy.py --table docs/accuracy.md [--results FILE]

A scenario is one whole month. The figure is the weighted absolute error of effective cost, sum
|allocated - true| / sum |true|, over teams, models, features, and all three together
(benchmarks.attribution_errors); `model_calls` is the same over what names a model, as GPU nodes,
which have tags, would hide an error in it. Both must be within the limit, for each of team, model
and feature: a fixed share, or for sampled traces 1.5 times the error that the portal shows. `ok` is
of the currencies together, as the error of a currency in which one bill line is shared is one draw.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ("auto", "spread", "owner", "unallocated")
SAMPLING_LIMIT = 1.5  # times the sampling error shown


@dataclass(frozen=True)
class Scenario:
    """`scale` is a factor on the calls that leaves ten to forty thousand spans to load; `limit`
    None: by sampling.
    """

    limit: float | None
    scale: float = 1.0
    sampling: str | float = "none"
    lost: float = 0.0
    case: str | None = None
    # For what no trace shows, where the situation calls for another one than asked for.
    policy: str | None = None
    seeds: int = 1


SCENARIOS = {
    "complete": Scenario(0.005),
    "lost": Scenario(0.02, lost=0.1),
    "sampled": Scenario(None, 6.0, sampling=0.1, seeds=5),
    "sampled-1": Scenario(None, 60.0, sampling=0.01, seeds=5),
    "tail": Scenario(None, 4.0, sampling="tail", seeds=5),
    "gateway": Scenario(0.03, case="gateway", policy="owner"),
    "cache": Scenario(0.03, case="cache"),
    "batch": Scenario(0.03, case="batch"),
    "tags": Scenario(0.05, case="tags"),
    "mistagged": Scenario(None, case="mistagged"),
}
COMPARED = ("team", "model", "feature")


def main() -> int:
    options = arguments()
    if options.home:
        print(
            json.dumps(
                measure(
                    options.scenarios[0], options.scale, options.policy, options.seed, options.home
                )
            )
        )
        return 0
    known = results_in(options.results)
    found = []
    for name in options.scenarios or SCENARIOS:
        for seed in seeds(name, options):
            line = known.get((name, seed)) or run(name, seed, options)
            print(json.dumps(line), flush=True)
            found.append(line)
    if options.table:
        from benchmarks.accuracy_table import page

        options.table.write_text(
            page(found, scale=options.scale, policy=options.policy), encoding="utf-8"
        )
    return 0 if all(line["ok"] for line in found) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the calls (default: 1)")
    parser.add_argument("--seed", type=int, default=7, help="the first seed (default: 7)")
    parser.add_argument("--policy", default="auto", choices=POLICIES)
    parser.add_argument(
        "--table",
        type=Path,
        help="write docs/accuracy.md, with several seeds where traces are sampled",
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="keep each result in this file, and don't measure again what it has",
    )
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(
            f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}"
        )
    return options


def seeds(name: str, options: argparse.Namespace) -> range:
    return range(options.seed, options.seed + (SCENARIOS[name].seeds if options.table else 1))


def results_in(path: Path | None) -> dict[tuple[str, int], dict[str, Any]]:
    if path is None or not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(line["scenario"], line["seed"]): line for line in lines}


def run(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One scenario in a process and a database of its own."""
    home = Path(tempfile.mkdtemp(prefix="apportion-accuracy-"))
    home.chmod(0o755)  # as root the database runs as another account
    command = [sys.executable, str(Path(__file__)), name, "--home", str(home)]
    command += ["--scale", str(options.scale), "--policy", options.policy, "--seed", str(seed)]
    try:
        done = subprocess.run(
            command,
            env=environment(name, home),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if options.results:
        with options.results.open("a", encoding="utf-8") as file:
            file.write(done.stdout)
    line: dict[str, Any] = json.loads(done.stdout)
    return line


def environment(name: str, home: Path) -> dict[str, str]:
    """Without real servers named: the benchmark must not write into anybody's ledger."""
    from portal.demo.cases import GATEWAY_ATTRIBUTES

    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "DATABASE_OWNER_URL")
    }
    kept |= {
        "APPORTION_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PYTHONPATH": str(ROOT),
    }
    return kept | (GATEWAY_ATTRIBUTES if SCENARIOS[name].case == "gateway" else {})


def measure(name: str, scale: float, policy: str, seed: int, home: Path) -> dict[str, Any]:
    """Load one scenario into this process's portal, allocate its month and compare."""
    import django

    django.setup()
    from django.conf import settings

    from portal.commands import migrate_if_needed
    from portal.embedded.servers import embedded_servers

    with embedded_servers(settings.EMBEDDED, ["postgres"]):
        migrate_if_needed()
        return result(name, scale, policy, seed, home / "demo")


def result(
    name: str, scale: float, policy: str, seed: int, folder: Path, end: datetime | None = None
) -> dict[str, Any]:
    """The scenario's figures for the month before `end` (default: the last one), on the current
    database, which must be empty. `scale` is a factor on the scenario's own.
    """
    from portal.demo.generate import whole_truth
    from portal.demo.load import load_settings
    from portal.demo.settings import demo_settings

    began = time.monotonic()
    scenario = SCENARIOS[name]
    end = (end or datetime.now(UTC)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    demo = demo_settings(
        now=end,
        days=(end - timedelta(days=1)).day + 1,
        seed=seed,
        scale=scale * scenario.scale,
        complete=True,
        sampling=scenario.sampling,
        lost=scenario.lost,
        case=scenario.case,
    )
    policy = scenario.policy or policy
    loaded = load_settings(
        demo, folder, since=None, say=lambda line: print(line, file=sys.stderr), untraced=policy
    )
    figures = compared(scenario, whole_truth(demo), demo.first_day.replace(day=1))
    if scenario.case == "mistagged":
        figures |= found_conflicts(demo.first_day.replace(day=1))
    return {
        "benchmark": "accuracy",
        "scenario": name,
        "seed": seed,
        "untraced_policy": policy,
        "scale": scale * scenario.scale,
        "month": f"{demo.first_day:%Y-%m}",
        "spans": loaded.spans,
        **figures,
        "seconds": round(time.monotonic() - began, 1),
    }


def compared(scenario: Scenario, truth: Any, month: Any) -> dict[str, Any]:
    """Errors of the ledger and of the two simpler ways, of all AI cost and of model calls."""
    from benchmarks.attribution_errors import (
        BY,
        allocated,
        errors,
        pooled,
        sampling_errors,
        true_costs,
    )
    from benchmarks.baselines import list_price, tag_only

    true, found = true_costs(truth), allocated()
    simpler = {"tag_only": tag_only(month), "list_price": list_price(month)}
    figures: dict[str, Any] = {}
    oks = []
    for subset in ("all_cost", "model_calls"):
        is_part = subset == "model_calls"
        figures[subset] = {}
        for by in BY:
            own = errors(true, found, by=by, model_calls_only=is_part)
            shown = sum(sampling_errors(by).values()) / sum(error.whole for error in own.values())
            limit = SAMPLING_LIMIT * shown if scenario.limit is None else scenario.limit
            figures[subset][by] = {
                "error": rounded(pooled(own)),
                "by_currency": {currency: rounded(error.share) for currency, error in own.items()},
                "sampling_error_shown": rounded(shown),
                "limit": rounded(limit),
                **{
                    name: rounded(pooled(errors(true, costs, by=by, model_calls_only=is_part)))
                    for name, costs in simpler.items()
                },
            }
            oks.append(by not in COMPARED or pooled(own) <= limit)
        figures[subset]["usd"] = round(sum(error.whole for error in own.values()), 2)
    return {**figures, "ok": all(oks)}


def found_conflicts(month: Any) -> dict[str, Any]:
    """Whether the accounts and nodes with another team's tag are named."""
    from portal.demo.cases import WRONG_ACCOUNT
    from portal.demo.company import PROJECTS
    from portal.demo.features import FEATURES
    from reports.asking import TeamScope
    from reports.queries.ownership.tag_conflicts import tag_conflicts

    found = tag_conflicts(month=month, scope=TeamScope.everything())
    named = {
        (row.resource_name or row.sub_account, row.tagged_team, row.likely_team) for row in found
    }
    project, tagged = WRONG_ACCOUNT
    right = next(
        feature.team
        for feature in FEATURES
        if any(each.project == project for each in feature.traffic)
    )
    wanted = {(PROJECTS[project].identifier, tagged, right)}
    wanted |= {(f"vision-g6-0{number}", "search", "vision") for number in (1, 2)}
    return {
        "conflicts": [" ".join(filter(None, row)) for row in sorted(named, key=str)],
        "missed": [" ".join(row) for row in sorted(wanted - named)],
        "named_wrongly": len(named - wanted),
        "ok": wanted == named,
    }


def rounded(share: float) -> float:
    return round(share, 6)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
