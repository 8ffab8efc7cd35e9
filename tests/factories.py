"""Rows for tests, written straight into the tables: an organisation, people, and runs with their
rollups.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.test import Client

from allocation.models import (
    AllocationRun,
    BusinessUnit,
    CostCenter,
    CostDaily,
    LegalEntity,
    RuleSet,
    RunSource,
    RunStatus,
    Source,
    Team,
    TeamPlacement,
)
from portal.accounts.models import Membership, Role, User
from tests.ledger_rows import add_cost, add_usage

_numbers = itertools.count(1)


def make_user(
    role: Role | None = None, *, teams: list[Team] | None = None, username: str | None = None
) -> User:
    """Someone who can sign in (password "correct horse battery"); a team lead leads `teams`."""
    number = next(_numbers)
    name = username or f"user{number}"
    user = User.objects.create_user(name, f"{name}@example.com", "correct horse battery")
    if role == Role.TEAM_LEAD:
        for team in teams or []:
            Membership.objects.create(user=user, role=role, team=team)
    elif role is not None:
        Membership.objects.create(user=user, role=role)
    return user


def client_of(role: Role, *teams: str) -> Client:
    """A browser in which somebody of this role is signed in; a team lead leads the teams."""
    client = Client()
    client.force_login(make_user(role, teams=list(Team.objects.filter(slug__in=teams))))
    return client


def make_team(
    slug: str,
    *,
    unit: str = "platform",
    cost_center: str | None = None,
    since: date = date(2026, 1, 1),
) -> Team:
    """A team placed in a business unit (made as needed) since a day."""
    entity, _ = LegalEntity.objects.get_or_create(slug="acme", defaults={"name": "Acme Inc"})
    business_unit, _ = BusinessUnit.objects.get_or_create(
        slug=unit, defaults={"name": unit.title(), "legal_entity": entity}
    )
    center = None
    if cost_center:
        center, _ = CostCenter.objects.get_or_create(
            code=cost_center, defaults={"name": f"Centre {cost_center}", "legal_entity": entity}
        )
    team = Team.objects.create(slug=slug, name=slug.replace("-", " ").title())
    TeamPlacement.objects.create(
        team=team, business_unit=business_unit, cost_center=center, valid_from=since
    )
    return team


def make_source(name: str = "AWS") -> Source:
    return Source.objects.get_or_create(name=name)[0]


@dataclass
class Costs:
    """A current run being filled: add rollup lines, then `balance()` writes what the run's sources
    add up to.
    """

    month: date
    currency: str = "USD"
    run: AllocationRun = field(init=False)

    def __post_init__(self) -> None:
        number = next(_numbers)
        rules, _ = RuleSet.objects.get_or_create(
            number=1,
            defaults={
                "text": "rules: []",
                "content_sha256": "0",
                "effective_from": date(2020, 1, 1),
            },
        )
        self.run = AllocationRun.objects.create(
            billing_month=self.month,
            currency=self.currency,
            rule_set=rules,
            status=RunStatus.SUCCEEDED,
            is_current=True,
            sha256=str(number),
        )

    def add(
        self, day: int, cost: str, *, billed: str | None = None, source: str = "AWS", **values: Any
    ) -> None:
        """One rollup line on a day of the month; `billed` defaults to `cost`."""
        line: dict[str, Any] = {
            "ai_scope": "ai",
            "provider_name": "AWS",
            "service_name": "Bedrock",
            "charge_kind": "direct" if values.get("team") else "unallocated",
            "rule": "by tag",
            "evidence": 4 if values.get("team") else 6,
            "reason": None if values.get("team") else "untraced",
            **values,
        }
        amounts = {
            name: Decimal(line.pop(name)) for name in ("list_cost",) if line.get(name) is not None
        }
        add_cost(
            self.run,
            self.month + timedelta(days=day - 1),
            evidence=line.pop("evidence"),
            names={"source_id": make_source(source).pk, **line},
            effective_cost=Decimal(cost),
            billed_cost=Decimal(billed or cost),
            **amounts,
        )

    def use(
        self, day: int, *, team: str, feature: str, model: str, calls: int, tokens: int
    ) -> None:
        add_usage(
            self.run,
            self.month + timedelta(days=day - 1),
            team=team,
            feature=feature,
            model=model,
            calls=calls,
            tokens_input=tokens,
            tokens_output=0,
        )

    def balance(self) -> AllocationRun:
        """Writes the run's balances from its lines."""
        for source in Source.objects.all():
            lines = CostDaily.objects.filter(run_id=self.run.pk, source_id=source.pk)
            for metric in ("billed_cost", "effective_cost"):
                amounts = [(getattr(line, metric), line.reason, line.ai_scope) for line in lines]
                allocated = sum((cost for cost, reason, _ in amounts if reason is None), Decimal(0))
                unallocated = sum(
                    (cost for cost, reason, _ in amounts if reason is not None), Decimal(0)
                )
                if amounts:
                    RunSource.objects.create(
                        run=self.run,
                        source=source,
                        metric=metric,
                        charges=allocated + unallocated,
                        allocated=allocated,
                        unallocated=unallocated,
                        other=sum(
                            (cost for cost, _, scope in amounts if scope == "other"), Decimal(0)
                        ),
                    )
        return self.run
