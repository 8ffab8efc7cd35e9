"""The line under a page's title: how far its data reach, what they explain, and by which runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from portal.pages.frame.state import PageState
from portal.pages.registry import page_address
from reports.queries.costs.trust import SourceTrust, Trust, trust
from reports.readable import ago, percent

BILLS_STALE_AFTER = timedelta(days=3)
TRACES_STALE_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class TrustPart:
    """One statement of the trust line; `advice`, what its reader can do, turns it amber."""

    text: str
    href: str | None
    advice: str | None = None


def read_trust(state: PageState) -> Trust:
    return trust(
        question=state.question,
        every_run=state.every_run,
        runs=tuple(run.id for run in state.runs_of(state.period)),
        now=timezone.now(),
    )


def trust_parts(
    known: Trust, state: PageState, held: Collection[str], now: datetime
) -> list[TrustPart]:
    """The line's statements in reading order, for a reader who holds these rights: links only where
    they may follow them.
    """

    def link(page: str, **changes: str | None) -> str | None:
        if page not in held:
            return None
        return f"{page_address(page)}?{state.query_string(**changes)}"

    parts = _bill_parts(known.sources, link("imports"), now.date())
    parts.append(_traces_part(known.traces_at, link("debug"), now))
    if known.explained is not None:
        figures = link("chargeback") or link("executive")
        evidence = f"{figures}#evidence" if figures else None
        parts.append(TrustPart(f"{percent(known.explained)} explained", evidence))
    if known.unallocated is not None and state.scope.is_everything:
        address = link("explain", kind="unallocated")
        parts.append(TrustPart(f"{percent(known.unallocated)} unallocated", address))
    if known.runs:
        numbers = ", ".join(str(run) for run in known.runs)
        parts.append(TrustPart(f"run{'s'[: len(known.runs) > 1]} {numbers}", link("rules")))
    return parts


def _traces_part(newest: datetime | None, address: str | None, now: datetime) -> TrustPart:
    """How old the newest span is. `address` is of the debug page; who has none can ask on-call."""
    if newest is None:
        own = "send spans to /v1/traces to see features and models"
        others = "features and models show once programs send spans, ask on-call"
        return TrustPart("no traces yet", address, own if address else others)
    advice = None
    if now - newest > TRACES_STALE_AFTER:
        own, others = "check the exporter and its key", "ask on-call to check the exporter"
        advice = f"no spans for over an hour: {own if address else others}"
    return TrustPart(f"traces {ago(newest, now)}", address, advice)


def _bill_parts(
    sources: Sequence[SourceTrust], address: str | None, today: date
) -> list[TrustPart]:
    """How far bills reach, and what is wrong with them.

    `address` is of the imports; a reader without them, a team lead, can ask those who have them.
    """
    has_imports = address is not None
    if not sources:
        own = "import a bill to see costs"
        others = "costs show once finance has imported a bill"
        return [TrustPart("No bills yet", address, own if has_imports else others)]
    parts = _reached_part(sources, address, today)
    own = "allocate the month of its bill"
    others = "its bill is not in these figures, ask finance for it"
    parts += [
        TrustPart(f"{source.name} is not allocated", address, own if has_imports else others)
        for source in sources
        if source.through is None and not source.is_refused
    ]
    for source in sources:
        problem = source.problem if has_imports else source.problem_to_report
        if problem:
            parts.append(TrustPart("bill problem", address, problem))
    return parts


def _reached_part(
    sources: Sequence[SourceTrust], address: str | None, today: date
) -> list[TrustPart]:
    """ "Bills through 21 Nov (AWS, OpenAI), 20 Nov (Google)": sources that reach the same day stand
    together. Nothing where none reaches any.
    """
    by_day: dict[date, list[str]] = {}
    for source in sources:
        if source.through is not None:
            by_day.setdefault(source.through, []).append(source.name)
    if not by_day:
        return []
    reached = (f"{day.day} {day:%b} ({', '.join(names)})" for day, names in by_day.items())
    late = [
        name for day, names in by_day.items() if today - day > BILLS_STALE_AFTER for name in names
    ]
    remedy = "ask finance for it" if address is None else "import it"
    advice = f"no newer bill of {', '.join(late)} has arrived, {remedy}" if late else None
    return [TrustPart(f"Bills through {', '.join(reached)}", address, advice)]
