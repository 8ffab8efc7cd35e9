"""What providers' own usage reports say of the calls that no trace shows, and whose the identities in them are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from allocation.models import IdentityOwner, ProviderUsage, UsageIdentity
from portal.demo import cases
from portal.demo.calls import EMBEDDING_MODEL, TrafficDay, traffic_days
from portal.demo.company import MODELS, PROJECTS
from portal.demo.settings import DemoSettings

NO_TOKENS = {"input": 0, "cache_read": 0, "cache_write": 0, "output": 0}


def load_provider_reports(settings: DemoSettings) -> None:
    """Batch jobs by key or role; embeddings that pass the gateway unlogged by user. Other cases have no report."""
    if settings.case not in (cases.BATCH, cases.GATEWAY):
        return
    rows: list[ProviderUsage] = []
    owners: dict[tuple[str, str], IdentityOwner] = {}
    for found in traffic_days(settings, settings.days):
        for row in _reported(found, settings):
            rows.append(row)
            kind = UsageIdentity.API_KEY if row.api_key else UsageIdentity.USER
            value = row.api_key or row.user or ""
            owners[row.provider, value] = IdentityOwner(
                provider=row.provider,
                kind=kind,
                value=value,
                team=found.feature.team,
                feature=found.feature.slug,
                valid_from=settings.first_day,
            )
    ProviderUsage.objects.bulk_create(rows)
    IdentityOwner.objects.bulk_create(owners.values())


def _reported(found: TrafficDay, settings: DemoSettings) -> Iterable[ProviderUsage]:
    traffic, service = found.traffic, found.feature.service
    if traffic.batch:
        is_aws = PROJECTS[traffic.project].source == "aws"
        identity = (
            {"user": f"assumed-role/{service}-batch"}
            if is_aws
            else {"api_key": f"key_{service}-batch"}
        )
        yield _row(found, traffic.model, found.requests, found.tokens, identity)
    elif settings.case == cases.GATEWAY and traffic.project == cases.GATEWAY_PROJECT:
        identity = {"user": f"svc-{service}"}
        if traffic.model == EMBEDDING_MODEL:
            yield _row(found, traffic.model, found.requests, found.tokens, identity)
        elif found.embedding_tokens:
            tokens = NO_TOKENS | {"input": found.embedding_tokens}
            yield _row(found, EMBEDDING_MODEL, found.requests, tokens, identity)


def _row(
    found: TrafficDay, model: str, requests: int, tokens: dict[str, int], identity: dict[str, str]
) -> ProviderUsage:
    day: date = found.day
    return ProviderUsage(
        day=day,
        provider=MODELS[model].provider,
        project=PROJECTS[found.traffic.project].identifier,
        model=model,
        is_batch=found.traffic.batch,
        requests=Decimal(requests),
        input_uncached=Decimal(tokens["input"]),
        cache_read=Decimal(tokens["cache_read"]),
        cache_write_5m=Decimal(tokens["cache_write"]),
        output_text=Decimal(tokens["output"]),
        **identity,
    )
