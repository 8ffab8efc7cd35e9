"""Server time of each page with a month of charges and usage, and with a tenth of it. One JSON line
per page.

    .venv/bin/python benchmarks/pages.py [--full] [--rounds N]

Quick: 100,000 charges and 100,000 usage rows; --full: a million of each. Every size gets a home of
its own, with the embedded servers, and the pages are asked by Django's test client: everything from
URL to bytes, without the network. Both sizes are asked in turn, so that a machine whose speed
drifts drifts for both. Limits: p95 under 100 ms, and at most 1.3 times the median at a tenth of the
data.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.children import answering, ask, child_of, servers

MONTH = date(2026, 10, 1)
QUICK, FULL = 100_000, 1_000_000
LIMIT_MS, LIMIT_RATIO = 100.0, 1.3
TURN = 4  # calls of one size before the other has its turn
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument(
        "--measure", type=int, help=argparse.SUPPRESS
    )  # in the child: seed this many rows and serve
    options = parser.parse_args()
    if options.measure:
        serve(options.measure)
        return 0
    size = FULL if options.full else QUICK
    small_size, large_size = str(size // 10), str(size)
    with (
        child_of(__file__, "--measure", small_size) as small,
        child_of(__file__, "--measure", large_size) as large,
    ):
        for name in PAGES:
            seconds: tuple[list[float], list[float]] = ([], [])
            for turn in range(-1, -(-options.rounds // TURN)):
                for side, child in enumerate((small, large)):
                    found = ask(child, name)
                    if turn >= 0:  # the first turn fills caches
                        seconds[side].extend(found)
            print(
                json.dumps(compared(name, summary(seconds[0]), summary(seconds[1]), size)),
                flush=True,
            )
    return 0


def summary(seconds: list[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return {"p50_ms": round(statistics.median(ordered) * 1000, 1), "p95_ms": round(p95 * 1000, 1)}


def compared(
    name: str, small: dict[str, float], large: dict[str, float], size: int
) -> dict[str, Any]:
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


def serve(rows: int) -> None:
    """In the child: seed that many rows, and measure the pages that are asked for."""
    with servers():
        clients = signed_in_clients(rows)

        def measured(name: str) -> list[float]:
            role, address = PAGES[name]
            return [timed(clients[role], address) for _ in range(TURN)]

        answering(measured)


def signed_in_clients(rows: int) -> dict[str, Any]:
    """A client for each role, on a portal with an allocated month of this size."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client
    from django.utils import timezone

    from allocation.models import Team
    from allocation.runs.month import allocate_period
    from allocation.values.periods import Period
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
    return clients


def timed(client: Any, address: str) -> float:
    """Seconds that one page takes."""
    began = time.perf_counter()
    response = client.get(address)
    b"".join(response) if response.streaming else response.content
    seconds = time.perf_counter() - began
    if response.status_code != 200:
        raise SystemExit(f"{address} answered {response.status_code}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
