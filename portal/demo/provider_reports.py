"""What providers' own usage reports say of the calls that no trace shows, and whose the identities
in them are.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from allocation.models import ImportKind, ImportStatus, UsageIdentity
from portal.demo import cases
from portal.demo.calls import EMBEDDING_MODEL, TrafficDay, traffic_days
from portal.demo.company import PROJECTS
from portal.demo.models import MODELS
from portal.demo.settings import DemoSettings
from portal.errors import Refused
from portal.ingest.drivers.delivery import deliver
from portal.ingest.drivers.kinds import driver_kind

Row = dict[str, object]  # of a driver file, by column
NO_TOKENS = {"input": 0, "cache_read": 0, "cache_write": 0, "output": 0}


def load_provider_reports(settings: DemoSettings) -> None:
    """Batch jobs by key or role; embeddings that pass the gateway unlogged by user. Other cases
    have no report.
    """
    if settings.case not in (cases.BATCH, cases.GATEWAY):
        return
    reports: dict[str, list[Row]] = defaultdict(list)
    owners: dict[tuple[str, object], Row] = {}
    for found in traffic_days(settings, settings.days):
        for model, row in _reported(found, settings):
            provider = MODELS[model].provider
            reports[provider].append(row)
            kind = UsageIdentity.API_KEY if row["api_key"] else UsageIdentity.USER
            owners[provider, row[kind]] = {
                "provider": provider,
                "kind": kind,
                "value": row[kind],
                "team": found.feature.team,
                "feature": found.feature.slug,
                "valid_from": settings.first_day,
            }
    for provider, rows in reports.items():
        load_rows(ImportKind.PROVIDER_USAGE, rows, {"provider": provider})
    load_rows(ImportKind.IDENTITY_OWNERS, owners.values(), {})


def load_rows(kind: ImportKind, rows: Iterable[Row], asked: Mapping[str, str]) -> None:
    """Delivers the rows as a driver file, as a user would."""
    content = _table(list(rows))
    outcome = deliver(
        driver_kind(kind), content, file_name=f"{kind}.csv", asked=asked, created_by="demo"
    )
    if outcome.status == ImportStatus.REFUSED:
        raise Refused(outcome.in_words())


def _table(rows: list[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _reported(found: TrafficDay, settings: DemoSettings) -> Iterator[tuple[str, Row]]:
    """(model, row of its provider's report) of the calls of a day that a provider tells of."""
    traffic, service = found.traffic, found.feature.service
    if traffic.batch:
        is_aws = PROJECTS[traffic.project].source == "aws"
        identity = (
            {"user": f"assumed-role/{service}-batch"}
            if is_aws
            else {"api_key": f"key_{service}-batch"}
        )
        yield traffic.model, _row(found, traffic.model, found.tokens, identity)
    elif settings.case == cases.GATEWAY and traffic.project == cases.GATEWAY_PROJECT:
        identity = {"user": f"svc-{service}"}
        if traffic.model == EMBEDDING_MODEL:
            yield traffic.model, _row(found, traffic.model, found.tokens, identity)
        elif found.embedding_tokens:
            tokens = NO_TOKENS | {"input": found.embedding_tokens}
            yield EMBEDDING_MODEL, _row(found, EMBEDDING_MODEL, tokens, identity)


def _row(
    found: TrafficDay, model: str, tokens: Mapping[str, int], identity: Mapping[str, str]
) -> Row:
    return {
        "day": found.day,
        "project": PROJECTS[found.traffic.project].identifier,
        "model": model,
        "batch": "true" if found.traffic.batch else "false",
        "api_key": identity.get("api_key"),
        "user": identity.get("user"),
        "requests": found.requests,
        "input_uncached": tokens["input"],
        "cache_read": tokens["cache_read"],
        "cache_write_5m": tokens["cache_write"],
        "output_text": tokens["output"],
    }
