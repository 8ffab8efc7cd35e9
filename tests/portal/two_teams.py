"""Two teams whose names, amounts and texts can be told apart anywhere: what one may read and the
other must not.

Every table that a page, an export or the API reads has a row of each team. Text columns of a team
hold its canary, amounts of a team have its digits, also after rounding.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection

from allocation import models as ledger
from portal.accounts.models import Membership, Role, User
from portal.jobs.models import Job, JobStatus
from tests.portal.canaries import ALPHA, BRAVO, DAY, MONTH, NOON
from tests.portal.previews import rule_preview, rules_named
from tests.portal.team_rows import team_rows

PASSWORD = "correct horse battery staple"


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
    split_keys: dict[str, int]


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
    scope = published(source, delivered)
    rules = ledger.RuleSet.objects.create(
        number=1,
        text=rules_named(text or "everything"),
        content_sha256="0" * 64,
        effective_from=MONTH,
        note=text or "",
    )
    run = balanced_run(rules, source)
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
        split_keys={team.slug: team.split_key_id for team in teams},
    )


def published(source: ledger.Source, delivered: ledger.Import) -> ledger.ChargeScope:
    """The month of the bill, as readers see it."""
    return ledger.ChargeScope.objects.create(
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


def balanced_run(rules: ledger.RuleSet, source: ledger.Source) -> ledger.AllocationRun:
    """The month's current run, which allocated all of both teams' charges."""
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
    return run


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
