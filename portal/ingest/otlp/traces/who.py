"""Persons and repositories of calls, and their ids, remembered by the process."""

from __future__ import annotations

from collections.abc import Iterable

from portal.ingest.otlp.traces import sql
from portal.ingest.otlp.traces.known import cursor, known
from portal.ingest.otlp.traces.normalise import NOBODY, SpanRecord, Who

MOST_WHO = 200_000  # kept per process


def who_ids(wanted: set[Who]) -> dict[Who, int | None]:
    """The id of each; unknown ones are inserted. None for nobody."""
    missing = wanted - known.who.keys() - {NOBODY}
    if missing:
        if len(known.who) + len(missing) > MOST_WHO:
            known.who.clear()
            missing = wanted - {NOBODY}
        # Sorted, as usage dimensions are.
        in_order = sorted(missing, key=lambda who: (who.person or "", who.repository or ""))
        columns = [list(column) for column in zip(*in_order, strict=True)]
        with cursor() as c:
            c.execute(sql.INSERT_WHO, columns)
            found = c.execute(sql.FIND_WHO, columns).fetchall()
        known.who.update({Who(*told): number for number, *told in found})
    return {who: known.who.get(who) for who in wanted}


def who_of(ids: Iterable[int | None]) -> dict[int | None, Who]:
    """Who is behind each id."""
    told = sorted({number for number in ids if number is not None})
    found: dict[int | None, Who] = {None: NOBODY}
    if told:
        with cursor() as c:
            rows = c.execute(sql.READ_WHO, [told]).fetchall()
        found.update({number: Who(*who) for number, *who in rows})
    return found


def keep_names(records: Iterable[SpanRecord]) -> None:
    """Keep the names of persons, where the installation asks for them."""
    names = {
        record.who.person: record.person_name
        for record in records
        if record.person_name is not None and record.who.person is not None
    }
    fresh = sorted(names.keys() - known.named)
    if fresh:
        with cursor() as c:
            c.execute(sql.NAME_PERSONS, [fresh, [names[person] for person in fresh]])
        known.named.update(fresh)
