"""Two teams whose names, amounts and texts can be told apart anywhere: what one may read and the
other must not.

Every table that a page, an export or the API reads has a row of each team. Text columns of a team
hold its canary, amounts of a team have its digits, also after rounding.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import yaml
from django.db import connection

from allocation import models as ledger
from portal.accounts.models import Membership, Role, User
from portal.jobs.models import Job, JobStatus
from tests.ledger_rows import add_bucket, add_cost, add_group, add_share

MONTH = date(2026, 10, 1)
DAY = date(2026, 10, 14)
NOON = datetime(2026, 10, 14, 12, tzinfo=UTC)
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Canary:
    """A team's traces in any output: a word in its texts, and digits in its amounts."""

    slug: str
    word: str
    amount: Decimal

    @property
    def marks(self) -> list[str]:
        """What gives the team away: its word, and its amount as exact and as rounded pages write
        it.
        """
        whole = int(self.amount)
        return [self.word, str(whole), f"{whole:,}"]


ALPHA = Canary("alpha", "alphacanary", Decimal("10203.405060708"))
BRAVO = Canary("bravo", "bravocanary", Decimal("91827.364554637"))


@dataclass(frozen=True)
class Company:
    """Ids of the seeded rows that addresses name."""

    bill_import: int
    run: int
    job: int
    rule_set: int
    preview: int
    traces: dict[str, uuid.UUID]  # by team slug
    targets: dict[str, int]
    buckets: dict[str, int]


def seed_company(text: str | None = None) -> Company:
    """Both teams with one charge, one call and one allocated line each. `text` replaces every free
    text, if given.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ensure_charge_partition(%s), ensure_slice_share_partition(%s)", [MONTH, MONTH]
        )
        cursor.execute("SELECT ensure_span_partition(%s)", [DAY])
    entity = ledger.LegalEntity.objects.create(slug="acme", name=text or "Acme")
    source = ledger.Source.objects.create(name=text or "cloud")
    delivered = bill_import(source, text)
    scope = ledger.ChargeScope.objects.create(
        source=source,
        bill_import=delivered,
        billing_account_id="123",
        billing_period_start=datetime(2026, 10, 1, tzinfo=UTC),
        billing_period_end=datetime(2026, 11, 1, tzinfo=UTC),
        billing_month=MONTH,
        delivery="overwrite",
        state="current",
        rows=2,
        published_at=NOON,
    )
    rules = ledger.RuleSet.objects.create(
        number=1,
        text=rules_named(text or "everything"),
        content_sha256="0" * 64,
        effective_from=MONTH,
        note=text or "",
    )
    run = ledger.AllocationRun.objects.create(
        billing_month=MONTH,
        currency="USD",
        rule_set=rules,
        status="succeeded",
        is_current=True,
        rows=2,
    )
    total = ALPHA.amount + BRAVO.amount
    for metric in ("billed_cost", "effective_cost"):
        ledger.RunSource.objects.create(
            run=run, source=source, metric=metric, charges=total, allocated=total, unallocated=0
        )
    teams = [
        team_rows(canary, number, text=text, entity=entity, source=source, scope=scope, run=run)
        for number, canary in enumerate((ALPHA, BRAVO), 1)
    ]
    ledger.ExchangeRate.objects.create(
        month=MONTH, base="USD", quote="EUR", rate=1, source=text or "bank", uploaded_at=NOON
    )
    job = Job.objects.create(
        kind="import_bill",
        status=JobStatus.SUCCEEDED,
        progress_note=text or BRAVO.word,
        result={"note": text or BRAVO.word},
        finished_at=NOON,
    )
    return Company(
        bill_import=delivered.pk,
        run=run.pk,
        job=job.pk,
        rule_set=rules.pk,
        preview=rule_preview(rules, text).pk,
        traces={team.slug: team.trace for team in teams},
        targets={team.slug: team.target for team in teams},
        buckets={team.slug: team.bucket for team in teams},
    )


def rules_named(name: str) -> str:
    rule = {
        "name": name,
        "when": {"ChargeCategory": "Usage"},
        "method": "direct",
        "target": {"team": "alpha"},
    }
    return yaml.safe_dump({"version": 1, "scope": [], "rules": [rule]})


def rule_preview(rules: ledger.RuleSet, text: str | None) -> ledger.RulePreview:
    """A draft that would move all that alpha pays to bravo."""
    amount = str(ALPHA.amount)
    amounts = {
        "billed_before": "0",
        "billed_after": amount,
        "effective_before": "0",
        "effective_after": amount,
    }
    back = {
        "billed_before": amount,
        "billed_after": "0",
        "effective_before": amount,
        "effective_after": "0",
    }
    named = {"currency": "USD", "owner": None, "reason": None}
    lines = [
        {**named, "name": text or BRAVO.word, **amounts},
        {**named, "name": text or ALPHA.word, **back},
    ]
    reach = {
        "currency": "USD",
        "charges": 2,
        "billed_cost": str(BRAVO.amount),
        "effective_cost": str(BRAVO.amount),
    }
    about = {"source": text or "cloud", "provider": text or "AWS", "service": text or BRAVO.word}
    about |= {"category": "Usage", "reason": "no rule"}
    month = {**lines[0], "name": "2026-10", "moved": {"billed_cost": "1", "effective_cost": "1"}}
    finding = {
        "level": "warning",
        "subject": text or "rule",
        "what": text or "x",
        "remedy": text or "y",
        "line": 1,
    }
    tried = {
        "reach": [{"rule": text or BRAVO.word, **reach}],
        "untaken": [{**about, **reach}],
        "findings": [finding],
    }
    return ledger.RulePreview.objects.create(
        text=rules_named(text or BRAVO.word),
        content_sha256="2" * 64,
        effective_from=MONTH,
        base_number=rules.number,
        months=["2026-10"],
        outcome={
            "runs": [{"month": "2026-10", "currency": "USD", "sha256": "3" * 64}],
            "differences": {
                **dict.fromkeys(("team", "product", "model", "feature"), lines),
                "month": [month],
            },
            "rules": [{"month": "2026-10", **tried}],
        },
        created_by=text or "ada",
        created_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )


def bill_import(source: ledger.Source, text: str | None) -> ledger.Import:
    total = str(ALPHA.amount + BRAVO.amount)
    costs = dict.fromkeys(("billed_cost", "effective_cost", "list_cost", "contracted_cost"), total)
    totals = [{"currency": "USD", **costs}]
    delivered = ledger.Import.objects.create(
        source=source,
        status="loaded",
        file_name=text or f"{BRAVO.word}.csv",
        content_sha256="1" * 64,
        content_bytes=1000,
        focus_version="1.2",
        rows_read=3,
        rows_loaded=2,
        rows_rejected=1,
        totals=totals,
        repairs={text or "trimmed": 1},
        finished_at=NOON,
        created_by=text or "finance",
    )
    ledger.RejectedRow.objects.create(
        bill_import=delivered,
        line=4,
        column=text or "BilledCost",
        value=text or BRAVO.word,
        reason=text or "not a number",
    )
    return delivered


@dataclass(frozen=True)
class TeamRows:
    slug: str
    trace: uuid.UUID
    target: int
    bucket: int


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
    target, bucket = allocated(
        canary, number, word=word, source=source, run=run, dimension=dimension
    )
    trace = one_call(canary, number, word=word)
    return TeamRows(slug=canary.slug, trace=trace, target=target, bucket=bucket)


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
    product = ledger.Product.objects.create(slug=f"product-{canary.slug}", name=word)
    feature = ledger.Feature.objects.create(slug=f"feature-{canary.slug}", name=word)
    ledger.FeaturePlacement.objects.create(
        feature=feature, owner_team=team, product=product, valid_from=date(2026, 1, 1)
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
    """Ids of the target and of the bucket."""
    bucket = add_bucket(
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
    ledger.BucketMember.objects.create(
        run_id=run.pk, source_id=source.pk, dimension_id=dimension.pk, bucket=bucket
    )
    costs = {
        "billed_cost": canary.amount,
        "effective_cost": canary.amount,
        "list_cost": canary.amount,
    }
    add_group(run, bucket, DAY, charges=1, note=word, **costs)
    target = ledger.Target.objects.create(
        content_hash=digest(f"target {number}"),
        team=canary.slug,
        model=word,
        feature=word,
        product=word,
        environment="production",
        customer=word,
    )
    add_share(run, bucket, DAY, target_id=target.pk, charge_kind="direct", evidence=1, **costs)
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
    return target.pk, bucket


def one_call(canary: Canary, number: int, *, word: str) -> uuid.UUID:
    """A model call two hours ago, so that the pages about now show it, and its rollup."""
    started = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_span_partition(%s)", [started.date()])
    dimension = ledger.UsageDimension.objects.create(
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
    trace = uuid.UUID(int=number)
    ledger.Span.objects.create(
        span_day=started.date(),
        trace_id=trace,
        span_id=number,
        dimension_id=dimension.pk,
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
    measures = dict.fromkeys(
        [
            "cache_read",
            "cache_write_5m",
            "cache_write_1h",
            "reasoning",
            "calls_without_usage",
            "input_audio",
            "input_image",
            "output_audio",
            "output_image",
        ],
        0,
    )
    ledger.UsageHourly.objects.create(
        hour=started,
        dimension_id=dimension.pk,
        spans=1,
        calls=1,
        errors=1,
        input_uncached=int(canary.amount),
        output_text=10,
        duration_us=1_500_000,
        list_cost=canary.amount,
        **measures,
    )
    ledger.LatencyHourly.objects.create(hour=started, dimension_id=dimension.pk, bucket=21, calls=1)
    return trace


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def person(username: str, role: Role | None = None, *teams: str) -> User:
    user = User.objects.create_user(username, f"{username}@example.com", PASSWORD)
    if role is None:
        return user
    if not teams:
        Membership.objects.create(user=user, role=role)
    for team in teams:
        Membership.objects.create(user=user, role=role, team=ledger.Team.objects.get(slug=team))
    return user


def one_person_per_role() -> dict[str, User]:
    """Signed-in people by what they are; "lead" leads alpha only, "nobody" has no role."""
    return {
        "executive": person("executive", Role.EXECUTIVE),
        "lead": person("lead", Role.TEAM_LEAD, ALPHA.slug),
        "finance": person("finance", Role.FINANCE),
        "on_call": person("on_call", Role.ON_CALL),
        "finops_admin": person("finops_admin", Role.FINOPS_ADMIN),
        "nobody": person("nobody"),
    }


def gives_away(body: str, canary: Canary, asked: str = "") -> list[str]:
    """Marks of the team found in an output, also as JSON writes them; not those that the caller
    wrote in `asked`.
    """
    total = int(ALPHA.amount + BRAVO.amount)
    marks = [*canary.marks, str(total), f"{total:,}"]
    return [
        mark
        for mark in marks
        if mark not in asked and (mark in body or json.dumps(mark)[1:-1] in body)
    ]
