"""How exactly cost is attributed, against the demo's truth. One JSON line for each scenario, each on a database of its own.

    .venv/bin/python benchmarks/accuracy.py [--scale X] [--policy auto|spread|owner|unallocated] [SCENARIO ...]

Scenarios, over one whole month with every tag in place: `complete` has every span; `lost` has a tenth of them lost at random;
`sampled` keeps a tenth of the traces at the head and says so in tracestate. The figure is the weighted absolute error over
(team, model, feature) of effective cost, sum |allocated - true| / sum |true|, in the currency where it is worst. For `sampled` the
limit is 1.5 times the sampling error that the portal shows; for the others it is fixed.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = {"complete": 0.01, "lost": 0.03, "sampled": None}


def main() -> int:
    options = arguments()
    if options.home:
        print(json.dumps(measure(options.scenarios[0], options.scale, options.policy, options.home)))
        return 0
    failed = 0
    for scenario in options.scenarios or SCENARIOS:
        home = Path(tempfile.mkdtemp(prefix="apportion-accuracy-"))
        home.chmod(0o755)  # as root the database runs as another account
        command = [sys.executable, str(Path(__file__)), scenario, "--home", str(home)]
        command += ["--scale", str(options.scale), "--policy", options.policy]
        try:
            done = subprocess.run(
                command, env=environment(home), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
            )
        finally:
            shutil.rmtree(home, ignore_errors=True)
        print(done.stdout, end="", flush=True)
        failed += not json.loads(done.stdout)["ok"]
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--scale", type=float, default=4.0, help="factor on the calls (default: 4)")
    parser.add_argument("--policy", default="auto", choices=["auto", "spread", "owner", "unallocated"])
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return options


def environment(home: Path) -> dict[str, str]:
    """Without real servers named: the benchmark must not write into anybody's ledger."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DATABASE_OWNER_URL")}
    return kept | {"APPORTION_HOME": str(home), "DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONPATH": str(ROOT)}


def measure(scenario: str, scale: float, policy: str, home: Path) -> dict[str, object]:
    """Load one scenario into this process's portal, allocate its month and compare."""
    import django

    django.setup()
    from django.conf import settings

    from portal.commands import migrate_if_needed
    from portal.embedded.servers import embedded_servers

    with embedded_servers(settings.EMBEDDED, ["postgres"]):
        migrate_if_needed()
        return result(scenario, scale, policy, home / "demo")


def result(scenario: str, scale: float, policy: str, folder: Path) -> dict[str, object]:
    """The scenario's figures, on the current database, which must be empty."""
    from portal.demo.accuracy import sampling_errors, weighted_errors
    from portal.demo.generate import whole_truth
    from portal.demo.load import load_settings
    from portal.demo.settings import demo_settings

    began = time.monotonic()
    end = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    days = (end - timedelta(days=1)).day + 1
    demo = demo_settings(
        now=end,
        days=days,
        scale=scale,
        complete=True,
        sampling=0.1 if scenario == "sampled" else "none",
        lost=0.1 if scenario == "lost" else 0.0,
    )
    loaded = load_settings(demo, folder, since=None, say=lambda line: print(line, file=sys.stderr), untraced=policy)
    errors = weighted_errors(whole_truth(demo))
    shown = sampling_errors()
    worst = max(errors, key=lambda currency: errors[currency] / (limit_of(scenario, shown.get(currency, 0.0))))
    limit = limit_of(scenario, shown.get(worst, 0.0))
    return {
        "benchmark": "accuracy",
        "scenario": scenario,
        "untraced_policy": policy,
        "month": f"{demo.first_day:%Y-%m}",
        "spans": loaded.spans,
        "weighted_absolute_error": round(errors[worst], 6),
        "by_currency": {currency: round(error, 6) for currency, error in errors.items()},
        "sampling_error_shown": {currency: round(error, 6) for currency, error in shown.items()},
        "limit": round(limit, 6),
        "ratio": round(errors[worst] / limit, 3),
        "ok": errors[worst] <= limit,
        "seconds": round(time.monotonic() - began, 1),
    }


def limit_of(scenario: str, shown: float) -> float:
    """The largest error that is allowed."""
    fixed = SCENARIOS[scenario]
    return fixed if fixed is not None else max(1.5 * shown, 1e-6)


if __name__ == "__main__":
    sys.exit(main())
