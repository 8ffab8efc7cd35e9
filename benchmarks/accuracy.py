"""How exactly cost is attributed, against the demo's truth. One JSON line for each scenario, each on a database of its
own.

    .venv/bin/python benchmarks/accuracy.py [--scale X] [--policy auto|spread|owner|unallocated] [SCENARIO ...]

Scenarios, over one whole month with every tag in place: `complete` has every span; `lost` has a tenth of them lost at
random; `sampled` keeps a tenth of the traces at the head and says so in tracestate. The figure is the weighted absolute
error over (team, model, feature) of effective cost, sum |allocated - true| / sum |true|; currencies are brought
together at the rate of the demo's contract, for this figure only. For `sampled` the limit is 1.5 times the sampling
error that the portal shows, the sum of the shares' standard errors; for the others it is fixed. All of it is told by
currency as well; `ok` and the exit code are of the currencies together, as the error of a currency in which one bill
line is shared is one draw, and 13 draws in 100 are over 1.5 standard errors.
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
# Factors on the calls that leave some 35,000 spans of each scenario to load.
SCALES = {"complete": 1.0, "lost": 1.0, "sampled": 10.0}


def main() -> int:
    options = arguments()
    if options.home:
        scenario = options.scenarios[0]
        print(
            json.dumps(measure(scenario, options.scale * SCALES[scenario], options.policy, options.seed, options.home))
        )
        return 0
    failed = 0
    for scenario in options.scenarios or SCENARIOS:
        home = Path(tempfile.mkdtemp(prefix="apportion-accuracy-"))
        home.chmod(0o755)  # as root the database runs as another account
        command = [sys.executable, str(Path(__file__)), scenario, "--home", str(home)]
        command += ["--scale", str(options.scale), "--policy", options.policy, "--seed", str(options.seed)]
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
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the calls (default: 1)")
    parser.add_argument("--seed", type=int, default=7)
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


def measure(scenario: str, scale: float, policy: str, seed: int, home: Path) -> dict[str, object]:
    """Load one scenario into this process's portal, allocate its month and compare."""
    import django

    django.setup()
    from django.conf import settings

    from portal.commands import migrate_if_needed
    from portal.embedded.servers import embedded_servers

    with embedded_servers(settings.EMBEDDED, ["postgres"]):
        migrate_if_needed()
        return result(scenario, scale, policy, seed, home / "demo")


def result(
    scenario: str, scale: float, policy: str, seed: int, folder: Path, end: datetime | None = None
) -> dict[str, object]:
    """The scenario's figures for the month before `end` (default: the last one), on the current database, which must be
    empty."""
    from portal.demo.accuracy import sampling_errors, shares_in_usd, weighted_errors
    from portal.demo.generate import whole_truth
    from portal.demo.load import load_settings
    from portal.demo.settings import demo_settings

    began = time.monotonic()
    end = (end or datetime.now(UTC)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    days = (end - timedelta(days=1)).day + 1
    demo = demo_settings(
        now=end,
        days=days,
        seed=seed,
        scale=scale,
        complete=True,
        sampling=0.1 if scenario == "sampled" else "none",
        lost=0.1 if scenario == "lost" else 0.0,
    )
    loaded = load_settings(demo, folder, since=None, say=lambda line: print(line, file=sys.stderr), untraced=policy)
    truth = whole_truth(demo)
    errors, shown, share = weighted_errors(truth), sampling_errors(), shares_in_usd(truth)
    error = sum(errors[currency] * share[currency] for currency in share)
    fixed = SCENARIOS[scenario]
    limits = {currency: 1.5 * shown[currency] if fixed is None else fixed for currency in share}
    limit = sum(limits[currency] * share[currency] for currency in share)
    return {
        "benchmark": "accuracy",
        "scenario": scenario,
        "untraced_policy": policy,
        "month": f"{demo.first_day:%Y-%m}",
        "spans": loaded.spans,
        "weighted_absolute_error": round(error, 6),
        "by_currency": {
            currency: {
                "weighted_absolute_error": round(errors[currency], 6),
                "sampling_error_shown": round(shown[currency], 6),
                "limit": round(limits[currency], 6),
                "ok": errors[currency] <= limits[currency],
            }
            for currency in errors
        },
        "by_currency_model_calls_only": {
            currency: round(error, 6) for currency, error in weighted_errors(truth, model_calls_only=True).items()
        },
        "sampling_error_shown": round(sum(shown[currency] * share[currency] for currency in share), 6),
        "limit": round(limit, 6),
        "ratio": round(error / limit, 3),
        "ok": error <= limit,
        "seconds": round(time.monotonic() - began, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
