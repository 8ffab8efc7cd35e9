"""The rows of one team: its place, a charge, what was allocated of it, and a call."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from allocation import models as ledger
from tests.ledger_rows import add_cost, add_group, add_share, add_split_key
from tests.portal.canaries import DAY, MONTH, NOON, Canary


@dataclass(frozen=True)
class TeamRows:
    slug: str
    trace: uuid.UUID
    target: int
    split_key_id: int


def team_rows(
    canary: Canary,
    number: int,
    *,
    text: str | None,
    entity: ledger.LegalEntity,
    source: ledger.Source,
    scope: ledger.ChargeScope,
    run: ledger.AllocationRun,
) -> TeamRows:
    word = text or canary.word
    place_in_tree(canary, text=text, entity=entity)
    ledger.GpuUsage.objects.create(
        hour=NOON,
        cluster=word,
        node=word,
        workload=word,
        run=f"{word} {number}",
        team=canary.slug,
        booked_seconds=canary.amount * 3600,
    )
    ledger.DriverPoint.objects.create(
        series=word, month=MONTH, team=canary.slug, quantity=canary.amount
    )
    dimension = ledger.ChargeDimension.objects.create(
        content_hash=digest(f"charge {number}"),
        billing_period_start=scope.billing_period_start,
        billing_period_end=scope.billing_period_end,
        billing_account_id="123",
        billing_currency="USD",
        charge_category="Usage",
        charge_description=word,
        provider_name=word,
        service_name=word,
        sku_id=word,
        resource_id=f"{word} {number}",
        resource_name=word,
        sub_account_id=word,
        tags={word: word},
    )
    ledger.Charge.objects.create(
        billing_month=MONTH,
        scope_id=scope.pk,
        line=number + 1,
        dimension_id=dimension.pk,
        charge_period_start=NOON,
        charge_period_end=NOON + timedelta(hours=1),
        billed_cost=canary.amount,
        effective_cost=canary.amount,
        list_cost=canary.amount,
        extra={"x_note": word},
    )
    target, split_key_id = allocated(
        canary, number, word=word, source=source, run=run, dimension=dimension
    )
    trace = one_call(canary, number, word=word)
    return TeamRows(slug=canary.slug, trace=trace, target=target, split_key_id=split_key_id)


def place_in_tree(canary: Canary, *, text: str | None, entity: ledger.LegalEntity) -> None:
    word = text or canary.word
    team = ledger.Team.objects.create(slug=canary.slug, name=word)
    unit = ledger.BusinessUnit.objects.create(
        slug=f"unit-{canary.slug}", name=word, legal_entity=entity
    )
    center = ledger.CostCenter.objects.create(
        code=f"{word} {canary.slug}", name=word, legal_entity=entity
    )
    ledger.TeamPlacement.objects.create(
        team=team, business_unit=unit, cost_center=center, valid_from=date(2026, 1, 1)
    )
    plan(canary, word, team=team)
    plan(canary, word, cost_center=center)
    product = ledger.Product.objects.create(slug=f"product-{canary.slug}", name=word)
    feature = ledger.Feature.objects.create(slug=f"feature-{canary.slug}", name=word)
    ledger.FeaturePlacement.objects.create(
        feature=feature, owner_team=team, product=product, valid_from=date(2026, 1, 1)
    )


def plan(canary: Canary, word: str, **holder: ledger.Team | ledger.CostCenter) -> None:
    """A version of its own, which plans the team's or the centre's month."""
    version = ledger.SpendPlanVersion.objects.create(
        number=ledger.SpendPlanVersion.objects.count() + 1,
        created_at=NOON,
        created_by=word,
        origin=word,
    )
    ledger.SpendPlanAmount.objects.create(
        version=version,
        month=MONTH,
        account=word,
        amount=canary.amount,
        currency="USD",
        **holder,
    )


def allocated(
    canary: Canary,
    number: int,
    *,
    word: str,
    source: ledger.Source,
    run: ledger.AllocationRun,
    dimension: ledger.ChargeDimension,
) -> tuple[int, int]:
    """Ids of the target and of the split key."""
    split_key_id = add_split_key(
        run,
        source=source,
        rule=word,
        method="direct",
        ai_scope="ai",
        provider_name=word,
        service_name=word,
        charge_category="Usage",
        split_key={"provider": word, "model": word},
    )
    ledger.ChargeToSplitKey.objects.create(
        run_id=run.pk, source_id=source.pk, dimension_id=dimension.pk, split_key_id=split_key_id
    )
    costs = {
        "billed_cost": canary.amount,
        "effective_cost": canary.amount,
        "list_cost": canary.amount,
    }
    add_group(run, split_key_id, DAY, charges=1, note=word, **costs)
    target = ledger.StoredTarget.objects.create(
        content_hash=digest(f"target {number}"),
        team=canary.slug,
        model=word,
        feature=word,
        product=word,
        environment="production",
        customer=word,
    )
    add_share(
        run, split_key_id, DAY, target_id=target.pk, charge_kind="direct", evidence=1, **costs
    )
    names = {
        "source_id": source.pk,
        "provider_name": word,
        "service_name": word,
        "team": canary.slug,
        "product": word,
        "feature": word,
        "model": word,
        "environment": "production",
        "rule": word,
    }
    add_cost(run, DAY, evidence=1, names=names, **costs)
    return target.pk, split_key_id


NOT_MEASURED = (
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "calls_without_usage",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
)


def one_call(canary: Canary, number: int, *, word: str) -> uuid.UUID:
    """The trace of a model call two hours ago, so that the pages about now show it, with its
    rollup.
    """
    started = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_span_partition(%s)", [started.date()])
    dimension = usage_dimension(canary, number, word=word)
    who, _ = ledger.UsageWho.objects.get_or_create(person=word, repository=word)
    trace = uuid.UUID(int=number)
    ledger.Span.objects.create(
        span_day=started.date(),
        trace_id=trace,
        span_id=number,
        dimension_id=dimension.pk,
        who_id=who.pk,
        started_at=started,
        duration_us=1_500_000,
        received_at=started,
        name=word,
        status_code=2,
        error_type=word,
        counted=True,
        input_uncached=int(canary.amount),
        output_text=10,
        has_usage=True,
        session_id=word,
        response_id=word,
        finish_reason=word,
        attributes={word: word},
    )
    measured = {
        "dimension_id": dimension.pk,
        "calls": 1,
        "errors": 1,
        "input_uncached": int(canary.amount),
        "output_text": 10,
        "list_cost": canary.amount,
        **dict.fromkeys(NOT_MEASURED, 0),
    }
    ledger.UsageHourly.objects.create(hour=started, spans=1, duration_us=1_500_000, **measured)
    ledger.WhoDaily.objects.create(hour=started.replace(hour=0), who_id=who.pk, **measured)
    ledger.LatencyHourly.objects.create(hour=started, dimension_id=dimension.pk, bin=21, calls=1)
    return trace


def usage_dimension(canary: Canary, number: int, *, word: str) -> ledger.UsageDimension:
    return ledger.UsageDimension.objects.create(
        content_hash=digest(f"usage {number}"),
        is_inference=True,
        operation="chat",
        provider=word,
        project=word,
        model_requested=word,
        model_answered=word,
        model=word,
        service=word,
        team=canary.slug,
        feature=word,
        product=word,
        environment="production",
        customer=word,
        prompt_name=word,
        prompt_version=word,
    )


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]
