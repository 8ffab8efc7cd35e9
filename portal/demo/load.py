"""Loads the demo company through the doors a user has: traces and bills are written as files and
imported, then allocated.

What stands in the demo's folder under APPORTION_HOME: state.json (what was loaded, up to when),
traces/ and bills/. A later start adds what has happened since: new spans, a longer bill of the
running month, new months. Loading twice changes nothing, since spans are known by their ids and
bills by their content; so a load that was cut short is simply done again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from allocation.models import Import, ImportStatus, Source, UntracedPolicy
from allocation.runs.month import allocate_period
from allocation.values.periods import Period
from portal.demo.accepted_rules import accept_rules
from portal.demo.bills import ACCOUNTS
from portal.demo.exchange_rates import load_exchange_rates
from portal.demo.generate import DemoFiles, whole_truth, write_files
from portal.demo.organisation import ensure_organisation
from portal.demo.provider_reports import load_provider_reports
from portal.demo.settings import DemoSettings, demo_settings
from portal.demo.spend_plans import ensure_plans
from portal.errors import Refused
from portal.ingest.bills.delivery import load_bill
from portal.ingest.bills.files.stream import BillFile
from portal.ingest.otlp.job_kinds import refresh_prices
from portal.ingest.otlp.rollup.merge import merge_deltas
from portal.ingest.otlp.traces.files import import_traces

START_AGAIN = "Start the demo again with an empty APPORTION_HOME"
LEAST_NEWS_SECONDS = 60  # a start this soon after the last one adds nothing
Say = Callable[[str], None]


@dataclass(frozen=True)
class DemoLoad:
    """What a start did."""

    settings: DemoSettings
    is_new: bool
    spans: int  # stored, not counting known ones
    bills: int  # loaded, not counting unchanged ones
    months: list[date]  # allocated


def load_demo(
    *,
    folder: Path,
    now: datetime,
    days: int | None = None,
    seed: int | None = None,
    scale: float | None = None,
    truth: Path | None = None,
    say: Say,
) -> DemoLoad:
    """Make or continue the demo of this folder. Raises Refused where another demo than asked for
    lives there.
    """
    state_file = folder / "state.json"
    known = read_state(state_file)
    if known is None:
        settings = demo_settings(
            now=now,
            days=days,
            seed=7 if seed is None else seed,
            scale=1.0 if scale is None else scale,
        )
    else:
        settings = known.continued(now, days=days, seed=seed, scale=scale, folder=folder)
    since = known.now if known else None
    outcome = DemoLoad(settings, since is None, 0, 0, [])
    if since is None or (now - since).total_seconds() >= LEAST_NEWS_SECONDS:
        outcome = load_settings(settings, folder, since=since, say=say)
        state_file.write_text(State.of(settings).to_json(), encoding="utf-8")
    if truth is not None:
        with step(say, f"Writing the truth to {truth}"):
            whole_truth(settings).write(truth)
    return outcome


def load_settings(
    settings: DemoSettings,
    folder: Path,
    *,
    since: datetime | None,
    say: Say,
    untraced: str = UntracedPolicy.SPREAD,
) -> DemoLoad:
    """Write the files, import them, allocate their months. `untraced` is the policy of sources that
    are new.

    Most calls are of services that sample at the head: a day's extrapolated tokens miss the bill's
    by chance, either way, so by default what is missing belongs to those who were seen. Where
    nothing is traced at all, nobody gets it even so.
    """
    with step(
        say,
        f"Writing what happened since {since:%d %b %H:%M} UTC"
        if since
        else "Writing bills and traces",
    ):
        files = write_files(settings, folder, since=since)
    ensure_organisation(valid_from=min(settings.first_day, settings.anchor_month))
    for name in ACCOUNTS:
        Source.objects.get_or_create(name=name, defaults={"untraced": untraced})
    spans = _import_traces(files, say)
    load_provider_reports(settings)
    load_exchange_rates(settings)
    ensure_plans(settings, now=settings.now)
    bills = _import_bills(files, say)
    months = sorted({bill.month for bill, _ in files.bills})
    for month in months:
        accept_rules(settings, month)
        with step(say, f"Allocating {month:%B %Y}"):
            allocate_period(period=Period.month(month), now=settings.now)
    return DemoLoad(settings, since is None, spans, bills, months)


def _import_traces(files: DemoFiles, say: Say) -> int:
    stored = 0
    with step(say, "Importing traces") as report:
        for path in files.traces:
            outcome = import_traces(path, created_by="demo")
            if outcome.status == ImportStatus.REFUSED or outcome.spans_rejected:
                raise Refused(f"{path} was not loaded whole: {outcome.rejected[:1]}. {START_AGAIN}")
            stored += outcome.stored.stored
        report(f"{stored:,} spans")
    with step(say, "Rolling up and pricing usage"):
        refresh_prices(created_by="demo")
        while merge_deltas():
            pass
    return stored


def _import_bills(files: DemoFiles, say: Say) -> int:
    loaded, rows = 0, 0
    with step(say, f"Importing {len(files.bills)} bills") as report:
        for bill, path in files.bills:
            outcome = load_bill(
                files=[BillFile.at(path)], source_name=bill.source, created_by="demo"
            )
            if (
                outcome.status not in (ImportStatus.LOADED, ImportStatus.UNCHANGED)
                or outcome.rows_rejected
            ):
                first = outcome.rejected[0] if outcome.rejected else outcome.reason
                raise Refused(f"{path} was not loaded whole: {first}. {START_AGAIN}")
            loaded += outcome.status == ImportStatus.LOADED
            rows += outcome.rows_loaded
        report(f"{rows:,} charges")
    return loaded


@contextmanager
def step(say: Say, what: str) -> Iterator[Callable[[str], None]]:
    """Say what was done and how long it took; the block may add a result."""
    began = time.monotonic()
    results: list[str] = []
    yield results.append
    say(
        f"  {what}{''.join(f', {result}' for result in results)} ({time.monotonic() - began:.1f} s)"
    )


# ---------------------------------------------------------------- state


@dataclass(frozen=True)
class State:
    """What a folder's demo was made with, and up to when it is loaded."""

    anchor: datetime
    now: datetime
    first_day: date
    seed: int
    scale: float

    @classmethod
    def of(cls, settings: DemoSettings) -> State:
        return cls(settings.anchor, settings.now, settings.first_day, settings.seed, settings.scale)

    def to_json(self) -> str:
        shown = {
            "anchor": self.anchor.isoformat(),
            "now": self.now.isoformat(),
            "first_day": self.first_day.isoformat(),
            "seed": self.seed,
            "scale": self.scale,
        }
        return json.dumps(shown, indent=1) + "\n"

    def continued(
        self,
        now: datetime,
        *,
        days: int | None,
        seed: int | None,
        scale: float | None,
        folder: Path,
    ) -> DemoSettings:
        """The same demo, up to now. Raises Refused where something else was asked for."""
        length = (self.anchor.date() - self.first_day).days + 1
        for name, asked, had in (
            ("days", days, length),
            ("seed", seed, self.seed),
            ("scale", scale, self.scale),
        ):
            if asked is not None and asked != had:
                raise Refused(
                    f"--{name} {asked}: the demo in {folder} was made with {had}. Leave the option "
                    "out to go on with it, or name another APPORTION_HOME for another demo"
                )
        return DemoSettings(
            anchor=self.anchor,
            now=max(now, self.now),
            first_day=self.first_day,
            seed=self.seed,
            scale=self.scale,
        )


def read_state(path: Path) -> State | None:
    """None where nothing was loaded, or the ledger is not the one that it was loaded into."""
    if not path.exists():
        return None
    loaded = Import.objects.filter(
        source__name__in=ACCOUNTS, status=ImportStatus.LOADED, created_by="demo"
    )
    if not loaded.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    return State(
        anchor=datetime.fromisoformat(told["anchor"]),
        now=datetime.fromisoformat(told["now"]),
        first_day=date.fromisoformat(told["first_day"]),
        seed=told["seed"],
        scale=told["scale"],
    )
