"""Made-up months that change at random between two runs come to the bytes of whole runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from allocation.models import (
    ChargeScope,
    DriverPoint,
    Feature,
    GpuUsage,
    IdentityOwner,
    ProjectMatch,
    ProviderUsage,
    Source,
    Team,
    TeamAlias,
    UsageHourly,
)
from allocation.values.names import name_key
from portal.ingest.otlp.rollup.merge import merge_deltas
from tests.allocation.bills import Bill, allocate, put_in_force, usage
from tests.allocation.months import DAYS, FEATURES, NODES, TEAMS, MadeCharge, Month, made_up
from tests.allocation.reruns import reruns
from tests.allocation.stored_months import charge_to, storable, written
from tests.allocation.usage.test_day_sums import all_agree, waits

pytestmark = pytest.mark.django_db

KEYS = ("key-1", "key-2", "key-3")
FIRSTS = (date(2026, 1, 1), *sorted(set(DAYS)))  # from which something may hold


@dataclass
class Changing:
    """A written month, and what may happen to it."""

    chance: random.Random
    month: Month
    scopes: list[ChargeScope] = field(default_factory=list)
    _number: int = 0

    def at(self) -> datetime:
        """Never twice the same."""
        self._number += 1
        start = datetime.fromisoformat(f"{self.chance.choice(DAYS)}T20:00:00+00:00")
        return start + timedelta(seconds=self._number)

    def some(self, model: Any, **filters: Any) -> Any:
        """A query of one row of the model, if it has any."""
        keys = list(model.objects.filter(**filters).order_by("pk").values_list("pk", flat=True))
        return model.objects.filter(pk=self.chance.choice(keys)) if keys else model.objects.none()

    # ------------------------------------------------------------ bills

    def bill_comes(self) -> None:
        for charge in self.chance.sample(self.month.charges, min(2, len(self.month.charges))):
            source = self.month.dimensions[charge.dimension].source_id
            bill = Bill(self.month.sources[source].name, delivery="append")
            charge_to(bill, self.month, self.changed(charge))
            self.scopes.append(bill.scope)

    def bill_is_withdrawn(self) -> None:
        if self.scopes:
            scope = self.scopes.pop(self.chance.randrange(len(self.scopes)))
            ChargeScope.objects.filter(pk=scope.pk).update(state="superseded")

    def bill_is_overwritten(self) -> None:
        """By one that differs in a few charges."""
        number, source = self.chance.choice(list(self.month.sources.items()))
        ChargeScope.objects.filter(source__name=source.name).update(state="superseded")
        self.scopes = [scope for scope in self.scopes if scope.source.name != source.name]
        bill = Bill(source.name)
        for charge in self.month.charges:
            if self.month.dimensions[charge.dimension].source_id == number:
                is_other = self.chance.random() < 0.2
                charge_to(bill, self.month, self.changed(charge) if is_other else charge)

    def changed(self, charge: MadeCharge) -> MadeCharge:
        kind = self.chance.randrange(5)
        if kind == 0:
            return charge._replace(billed=charge.billed * 3, effective=charge.effective * 2)
        if kind == 1:
            return charge._replace(listed=None if charge.listed else Decimal("0.5"))
        if kind == 2:
            return charge._replace(quantity=None if charge.quantity else Decimal(7))
        if kind == 3:
            return charge._replace(day=self.chance.choice(DAYS), spread=None)
        return charge._replace(dimension=self.chance.randrange(len(self.month.dimensions)))

    def source_is_set_otherwise(self) -> None:
        untraced = self.chance.choice(("auto", "spread", "owner", "unallocated"))
        self.some(Source).update(
            project_match=self.chance.choice(ProjectMatch.values), untraced=untraced
        )

    # ------------------------------------------------------------ usage

    def calls_come(self) -> None:
        chance = self.chance
        usage(
            chance.choice((*TEAMS, "nobody knows them", None)),
            chance.choice((None, *FEATURES)),
            at=self.at(),
            project=chance.choice(("proj-1", "proj-2", None)),
            model=chance.choice(("gpt-4o", "o1")),
            tier=chance.choice((None, None, "batch", "provisioned")),
            list_cost=chance.choice((None, "0.25")),
            about={"caller": chance.choice((None, *KEYS))},
            input_uncached=chance.choice((0, 5, 5000, "0.5")),
            output_text=chance.choice((0, 7)),
        )

    def calls_go(self) -> None:
        self.some(UsageHourly).delete()

    def calls_are_priced(self) -> None:
        self.some(UsageHourly).update(list_cost=self.chance.choice((None, "0.75")))

    def calls_are_more(self) -> None:
        self.some(UsageHourly).update(calls=9, input_uncached=self.chance.choice((1, 900)))

    def calls_are_sampled(self) -> None:
        self.some(UsageHourly).update(variance_input=self.chance.choice((0, 0, 40)))

    def calls_wait(self) -> None:
        hour = self.some(UsageHourly).values_list("hour", flat=True).first()
        if hour is not None:
            waits(hour)

    def calls_are_merged(self) -> None:
        merge_deltas()

    # ------------------------------------------------------------ other drivers

    def report_comes(self) -> None:
        chance = self.chance
        ProviderUsage.objects.get_or_create(
            day=chance.choice(DAYS),
            provider="openai",
            project=chance.choice(("proj-1", "proj-2", None)),
            model=chance.choice(("gpt-4o", "o1")),
            is_batch=chance.random() < 0.2,
            api_key=chance.choice(KEYS),
            defaults={
                "requests": 1,
                "input_uncached": chance.choice((5, 70, Decimal("0.25"))),
                "output_text": chance.choice((0, 9)),
            },
        )

    def report_changes(self) -> None:
        self.some(ProviderUsage).update(input_uncached=self.chance.choice((0, 11)))

    def report_goes(self) -> None:
        self.some(ProviderUsage).delete()

    def key_changes_hands(self) -> None:
        IdentityOwner.objects.update_or_create(
            provider=self.chance.choice(("openai", "gateway")),
            kind="api_key",
            value=self.chance.choice(KEYS),
            valid_from=self.chance.choice(FIRSTS),
            defaults={"team": self.chance.choice(TEAMS)},
        )

    def node_is_booked(self) -> None:
        GpuUsage.objects.create(
            hour=self.at().replace(minute=0, second=0),
            cluster=f"cluster {self._number}",
            node=self.chance.choice(NODES),
            workload="job",
            team=self.chance.choice(TEAMS),
            booked_seconds=self.chance.choice((5, Decimal("0.125"))),
        )

    def node_changes(self) -> None:
        self.some(GpuUsage).update(booked_seconds=self.chance.choice((0, 60)))

    def series_changes(self) -> None:
        self.some(DriverPoint).update(quantity=self.chance.randrange(9))

    # ------------------------------------------------------------ organisation and rules

    def team_becomes_known(self) -> None:
        Team.objects.get_or_create(slug=self.chance.choice(TEAMS), defaults={"name": "New"})

    def feature_moves(self) -> None:
        feature, team = self.some(Feature).first(), self.some(Team).first()
        if feature and team:
            feature.placements.update_or_create(
                valid_from=self.chance.choice(FIRSTS), defaults={"owner_team": team}
            )

    def name_gets_a_meaning(self) -> None:
        team, name = self.some(Team).first(), self.chance.choice(("nobody knows them", *TEAMS))
        if team:
            TeamAlias.objects.get_or_create(
                name_key=name_key(name),
                valid_from=self.chance.choice(FIRSTS),
                defaults={"name": name, "team": team},
            )

    def rules_change(self) -> None:
        """Their order, and of one of them what is taken to be unused."""
        document = json.loads(self.month.rules)
        self.chance.shuffle(document["rules"])
        document["agents"] = self.chance.choice(("caller", "callee"))
        put_in_force(json.dumps(document))

    # ------------------------------------------------------------

    def change(self) -> None:
        """One to three of all these."""
        ways: list[Callable[[], None]] = [
            self.bill_comes,
            self.bill_comes,
            self.bill_is_withdrawn,
            self.bill_is_overwritten,
            self.source_is_set_otherwise,
            self.calls_come,
            self.calls_come,
            self.calls_go,
            self.calls_are_priced,
            self.calls_are_more,
            self.calls_are_sampled,
            self.calls_wait,
            self.calls_are_merged,
            self.report_comes,
            self.report_changes,
            self.report_goes,
            self.key_changes_hands,
            self.node_is_booked,
            self.node_changes,
            self.series_changes,
            self.team_becomes_known,
            self.feature_moves,
            self.name_gets_a_meaning,
            self.rules_change,
        ]
        for way in self.chance.sample(ways, self.chance.choice((1, 1, 1, 2, 3))):
            way()


@pytest.mark.parametrize("seed", range(24))
def test_a_month_that_changes_at_random_has_the_bytes_of_a_whole_run(seed: int) -> None:
    changing = Changing(random.Random(seed), written(storable(made_up(seed, 8)), seed))
    for _ in range(3):
        changing.report_comes()
        changing.key_changes_hands()
    allocate()

    for _ in range(3):
        changing.change()
        reruns()
        assert all_agree()
