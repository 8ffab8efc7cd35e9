"""Server time of each page with a month of charges and usage, and with a tenth of it. One JSON line per page.

    .venv/bin/python benchmarks/pages.py [--full] [--rounds N]

Quick: 100,000 charges and 100,000 usage rows; --full: a million of each. Every size gets a home of its own, with the
embedded servers, and the pages are asked by Django's test client: everything from URL to bytes, without the network.
Limits: p95 under 100 ms, and at most 1.3 times the median at a tenth of the data.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MONTH = date(2026, 10, 1)
QUICK, FULL = 100_000, 1_000_000
LIMIT_MS, LIMIT_RATIO = 100.0, 1.3
WARM_UP = 3
PERIOD = f"period={MONTH:%Y-%m}"
END = "2026-10-31T12:00"

# Name -> role and address.
PAGES = {
    "executive": ("executive", f"/executive/?{PERIOD}"),
    "showback": ("finance", f"/showback/?{PERIOD}"),
    "showback team": ("team_lead", f"/showback/team-03/?{PERIOD}"),
    "chargeback": ("finance", f"/chargeback/?{PERIOD}"),
    "on-call": ("on_call", f"/on-call/?at={END}"),
    "debug": ("on_call", f"/debug/?until={END}"),
    "debug single calls": ("on_call", f"/debug/calls/?until={END}"),
    "debug newest": ("on_call", f"/debug/newest/?until={END}"),
    "rules": ("finance", f"/rules/?{PERIOD}"),
    "explain": ("executive", f"/explain/?{PERIOD}"),
    "explain team": ("team_lead", f"/explain/?{PERIOD}&team=team-03"),
    "imports": ("finance", f"/imports/?{PERIOD}"),
    "jobs": ("finance", "/jobs/"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)  # in the child: seed this many rows and measure
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.rounds)))
        return 0
    size = FULL if options.full else QUICK
    small, large = (run_apart(rows, options.rounds) for rows in (size // 10, size))
    for name in PAGES:
        print(json.dumps(compared(name, small[name], large[name], size)))
    return 0


def run_apart(rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """One size in a process and a home of its own, since settings are read once."""
    home = Path(tempfile.mkdtemp(prefix="apportion-pages-"))
    home.chmod(0o755)
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CELERY_BROKER_URL")
    }
    environment |= {"APPORTION_HOME": str(home), "DJANGO_SETTINGS_MODULE": "portal.settings", "PYTHONPATH": str(ROOT)}
    try:
        command = [sys.executable, __file__, "--measure", str(rows), "--rounds", str(rounds)]
        done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
        return found
    finally:
        shutil.rmtree(home, ignore_errors=True)


def compared(name: str, small: dict[str, float], large: dict[str, float], size: int) -> dict[str, Any]:
    ratio = round(large["p50_ms"] / small["p50_ms"], 2)
    return {
        "benchmark": f"page {name}",
        "rows": size,
        **large,
        "tenth": small,
        "limit_p95_ms": LIMIT_MS,
        "ratio": ratio,
        "limit_ratio": LIMIT_RATIO,
        "load_average": round(os.getloadavg()[0], 1),  # above the number of cores, times say little
        "ok": large["p95_ms"] < LIMIT_MS and ratio <= LIMIT_RATIO,
    }


def measure(rows: int, rounds: int) -> dict[str, dict[str, float]]:
    import django
    from django.conf import settings

    django.setup()
    from django.core.management import call_command

    from portal.embedded.servers import embedded_servers

    with embedded_servers(settings.EMBEDDED, ["postgres"]):
        call_command("migrate", database="owner", verbosity=0)
        return measure_pages(rows, rounds)


def measure_pages(rows: int, rounds: int) -> dict[str, dict[str, float]]:
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client
    from django.utils import timezone

    from allocation.models import Team
    from allocation.periods import Period
    from allocation.runs import allocate_period
    from benchmarks.seed_month import analyze, seed_month
    from portal.accounts.models import Membership, Role

    call_command("collectstatic", interactive=False, verbosity=0)
    seed_month(month=MONTH, charges=rows, usage_rows=rows)
    allocate_period(period=Period.month(MONTH), now=timezone.now())
    analyze()
    clients = {}
    for role in Role:
        user = get_user_model().objects.create_user(str(role), f"{role}@example.com")
        team = Team.objects.get(slug="team-03") if role == Role.TEAM_LEAD else None
        Membership.objects.create(user=user, role=role, team=team)
        clients[str(role)] = Client(HTTP_HOST="127.0.0.1")
        clients[str(role)].force_login(user)
    return {name: timed(clients[role], address, rounds) for name, (role, address) in PAGES.items()}


def timed(client: Any, address: str, rounds: int) -> dict[str, float]:
    """p50 and p95 in milliseconds, after a few calls that fill caches."""
    seconds = []
    for number in range(WARM_UP + rounds):
        began = time.perf_counter()
        response = client.get(address)
        b"".join(response) if response.streaming else response.content
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - began)
        if response.status_code != 200:
            raise SystemExit(f"{address} answered {response.status_code}")
    seconds.sort()
    p95 = seconds[min(int(len(seconds) * 0.95), len(seconds) - 1)]
    return {"p50_ms": round(statistics.median(seconds) * 1000, 1), "p95_ms": round(p95 * 1000, 1)}


if __name__ == "__main__":
    sys.exit(main())
