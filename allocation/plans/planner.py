"""From charge groups and usage to plans, in two phases. Pure.

First every group gets its ground: by facts of the month alone, what it is split by. Then the groups
of the days that changed are planned, upon the usage of those days. A slice of the ledger, one stage
and day, says the same as long as its fingerprint stays: that covers its groups, their grounds and
the digests of the data that these go by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import NamedTuple

from allocation.catalogue.canonical import columns_of
from allocation.charges.groups import Amount, ChargeGroup
from allocation.charges.split_keys import SplitKey
from allocation.models import ProjectMatch
from allocation.organisation.targets import Owner, Target, resolve
from allocation.plans.allocation_base import AllocationBase
from allocation.plans.billed import BillReader
from allocation.plans.capacity import CapacityJoin, GpuLine, capacity_join, capacity_plan, gpu_plan
from allocation.plans.drivers import DAY_USAGE, MONTH_USAGE, OTHER_DATA, REPORT_USAGE, Drivers
from allocation.plans.plan import Billed, Part, Plan
from allocation.plans.projects import (
    PlacedJoin,
    Placer,
    ProjectBill,
    placed_join,
    placed_plan,
)
from allocation.plans.shared import Splitter
from allocation.plans.traced import (
    Join,
    TracedLine,
    given_to_owner,
    traced_join,
    traced_plan,
)
from allocation.rules.methods import BY_USAGE, FOLLOW, GPU, NONE
from allocation.usage.index import UsageIndex, billed_classes
from allocation.usage.keys import Key
from allocation.values.names import IDLE, NO_GPU_USAGE, NO_TEAM, UNKNOWN_WORDING, UNTRACED


class Ground(NamedTuple):
    """What a group is split by, as far as facts tell. `data` names what the plan depends on."""

    join: Join | CapacityJoin | PlacedJoin | None = None
    data: tuple[str, ...] = ()


class UsageLine(NamedTuple):
    """A split key as usage is matched on it, and where: in traces or in the provider's report."""

    line: TracedLine
    usage: UsageIndex
    billed: Billed
    projects: tuple[ProjectBill, ...]  # where calls without a project are placed


@dataclass
class Planner:
    """Plans of one currency's groups. `numbers` are the split keys' ids in the database.

    `base` is what earlier stages gave; whoever writes these sets it before later ones are planned.
    """

    numbers: Mapping[SplitKey, int]
    groups: Sequence[ChargeGroup]
    drivers: Drivers
    _lines: dict[tuple[int, int], UsageLine] = field(default_factory=dict)
    _gpu_lines: dict[tuple[int, int], GpuLine] = field(default_factory=dict)
    _plans: dict[tuple[int, int], Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        drivers = self.drivers
        self.split_keys = {number: split_key for split_key, number in self.numbers.items()}
        self.classes = billed_classes((k.key, k.token_class) for k in self.numbers if k.key)
        reader = BillReader(drivers.reports.facts, drivers.prices, self.classes)
        self.billed = reader.billed(self.split_keys, self.groups)
        self.projects: dict[object, dict[str | None, list[SplitKey]]] = {}
        for split_key in self.numbers:
            if split_key.key and split_key.source.project_match == ProjectMatch.AUTO:
                own = self.projects.setdefault(_across_projects(split_key), {})
                own.setdefault(split_key.key.project, []).append(split_key)
        self.placer = Placer(lambda target: drivers.book.targets[target].team)
        self.splitter = Splitter(drivers.organisation, drivers.measures, drivers.book.number)
        self.base = AllocationBase()

    @property
    def base(self) -> AllocationBase:
        return self.splitter.base

    @base.setter
    def base(self, base: AllocationBase) -> None:
        self.splitter.base = base

    def stages(self) -> Iterable[tuple[int, list[ChargeGroup]]]:
        """Groups of each stage by place, and within a place in canonical order."""
        rank = {n: (key.part, key.content_hash) for n, key in self.split_keys.items()}

        def place(group: ChargeGroup) -> tuple[int, date, bool, bytes]:
            part, content_hash = rank[group.split_key]
            return part, group.day, group.is_spread, content_hash

        ordered = sorted(self.groups, key=place)
        for part, groups in groupby(ordered, key=lambda group: rank[group.split_key][0]):
            yield part, list(groups)

    # ------------------------------------------------------------ first: grounds

    def ground(self, group: ChargeGroup) -> Ground:
        split_key = self.split_keys[group.split_key]
        if split_key.method in BY_USAGE:
            return self._usage_ground(split_key, group)
        if split_key.method == GPU:
            return Ground(data=(OTHER_DATA,))
        if split_key.split is not None:
            return Ground(data=self.splitter.goes_by(split_key, group.day))
        return Ground()

    def _usage_ground(self, split_key: SplitKey, group: ChargeGroup) -> Ground:
        line, index, billed, projects = self._line(split_key, group)
        join: Join | CapacityJoin | PlacedJoin
        if split_key.capacity is not None:
            units = group.consumed if group.consumed is not None else group.pricing
            join = capacity_join(line, split_key.capacity, group.day, index.facts, units=units)
            day = join.day if join.key else None
        else:
            placed = placed_join(line, projects, group.day, index.facts) if projects else None
            traced = placed or traced_join(line, group.day, index.facts, billed)
            join, day = traced, traced.day
        if day is None:
            return Ground(join, (MONTH_USAGE,))
        return Ground(join, (DAY_USAGE if index is self.drivers.traces else REPORT_USAGE,))

    def fingerprint(self, groups: Iterable[tuple[ChargeGroup, Ground]], base: str) -> str:
        """Of the groups of one stage and day; equal where they are planned and written alike.

        `base` is the fingerprint of the allocation base, where the stage goes by it.
        """
        drivers, digests = self.drivers, self.drivers.digests
        # Weights are written, and corrected for sampling, in the places of the whole month.
        places = (drivers.traces.facts.places, drivers.reports.facts.places)
        digest = hashlib.sha256(f"{digests.settings} {places} {base}".encode())
        data: dict[str, date] = {}
        for group, ground in groups:
            about = (
                group.split_key,  # its content alone would not tell sources that swapped names
                group.charges,
                _told(group.billed_cost),
                _told(group.effective_cost),
                _told(group.list_cost),
                group.consumed,
                group.pricing,
                group.is_spread,
                ground.join,
            )
            digest.update(repr(about).encode())
            data |= dict.fromkeys(ground.data, group.day)
        told = [(name, digests.of(name, day)) for name, day in sorted(data.items())]
        digest.update(repr(told).encode())
        return digest.hexdigest()

    # ------------------------------------------------------------ then: plans

    def plan(self, group: ChargeGroup, ground: Ground) -> Plan:
        """How the group is cut. Targets that are new have numbers, and no ids yet."""
        split_key = self.split_keys[group.split_key]
        if split_key.method in BY_USAGE:
            return self._usage_plan(split_key, group, ground)
        if split_key.method == GPU:
            drivers = self.drivers
            line = self._gpu_line(split_key, group)
            return gpu_plan(line, group.day, drivers.gpu, drivers.book.rank)
        if split_key.split is not None:
            return self.splitter.plan(split_key, group.day)
        return self._own_plan(split_key, group)

    def _usage_plan(self, split_key: SplitKey, group: ChargeGroup, ground: Ground) -> Plan:
        line, index, _, _ = self._line(split_key, group)
        if isinstance(ground.join, CapacityJoin):
            if split_key.capacity is None:
                raise LookupError("a split by capacity needs one")
            plan = capacity_plan(line, split_key.capacity, ground.join, index)
        elif isinstance(ground.join, PlacedJoin):
            plan = placed_plan(line, ground.join, index, self.placer)
        elif ground.join is not None:
            plan = traced_plan(line, ground.join, index)
        else:
            raise LookupError("a split by usage needs a join")
        parts = given_to_owner(plan.parts, line.owner, self.drivers.book)
        return plan if parts is plan.parts else plan._replace(parts=parts)

    def _own_plan(self, split_key: SplitKey, group: ChargeGroup) -> Plan:
        """Of who pays alone, and of what follows other cost: the same for days of one epoch."""
        name = (group.split_key, self.drivers.organisation.epoch(group.day))
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = self._new_plan(split_key, group)
        return plan

    def _new_plan(self, split_key: SplitKey, group: ChargeGroup) -> Plan:
        book = self.drivers.book
        if split_key.method == FOLLOW:
            return self.base.plan(split_key, book, self._owner(split_key, group))
        if split_key.method == NONE:
            target = Target(model=split_key.model, reason=split_key.reason)
        else:
            target = self._resolved(split_key, group)
        entries = ((book.number(target), 1, split_key.owner.rung),)
        return Plan(parts=(Part(1, split_key.kind or "direct", entries),))

    # ------------------------------------------------------------ lines

    def _line(self, split_key: SplitKey, group: ChargeGroup) -> UsageLine:
        name = (group.split_key, self.drivers.organisation.epoch(group.day))
        found = self._lines.get(name)
        if found is None:
            key = split_key.key
            if key is None:
                raise LookupError("a split by usage needs a key")
            line = TracedLine(
                key=key,
                token_class=split_key.token_class,
                billed_classes=self.classes.get(key, frozenset()),
                policy=split_key.source.untraced,
                owner=self._owner(split_key, group),
                owner_rung=split_key.owner.rung,
                nobody=self._nobody(split_key),
                is_known=split_key.is_known,
                pool_cache_writes=split_key.usage.pool_cache_writes,
                by_month=split_key.usage.by_month,
            )
            index = self.drivers.usage_of(key, split_key.method)
            billed = self.billed[key, split_key.token_class]
            found = UsageLine(line, index, billed, self._projects(split_key, group.day))
            self._lines[name] = found
        return found

    def _projects(self, split_key: SplitKey, day: date) -> tuple[ProjectBill, ...]:
        """The projects that the bill tells apart under the split key's key and class, by name; none
        where it has only lines without a project.
        """
        found = self.projects.get(_across_projects(split_key), {})
        if split_key.source.project_match != ProjectMatch.AUTO or found.keys() <= {None}:
            return ()
        return tuple(
            ProjectBill(
                key,
                columns_of(split_key.token_class, self.classes.get(key, frozenset())),
                self._owner_of(own, day),
                self.billed[key, split_key.token_class],
            )
            for project, own in sorted(found.items(), key=lambda item: item[0] or "")
            if (key := own[0].key) is not None
        )

    def _owner_of(self, split_keys: Iterable[SplitKey], day: date) -> str | None:
        """The one team that lines of a project name; None where there are none, or several."""
        organisation = self.drivers.organisation
        owners = {
            resolve(organisation, split_key.owner, model=None, day=day).team
            for split_key in split_keys
            if split_key.owner != Owner()
        } - {None}
        return owners.pop() if len(owners) == 1 else None

    def _nobody(self, split_key: SplitKey) -> int:
        reason = UNTRACED if split_key.is_known else UNKNOWN_WORDING
        return self.drivers.book.number(Target(model=split_key.model, reason=reason))

    def _gpu_line(self, split_key: SplitKey, group: ChargeGroup) -> GpuLine:
        name = (group.split_key, self.drivers.organisation.epoch(group.day))
        line = self._gpu_lines.get(name)
        if line is None:
            book, known = self.drivers.book, self.drivers.gpu.nodes
            is_known_by_id = split_key.node not in known and split_key.node_id in known
            line = self._gpu_lines[name] = GpuLine(
                node=split_key.node_id if is_known_by_id else split_key.node,
                owner=self._owner(split_key, group),
                owner_rung=split_key.owner.rung,
                idle=book.number(Target(reason=IDLE)),
                nobody=book.number(Target(reason=NO_GPU_USAGE)),
            )
        return line

    def _owner(self, split_key: SplitKey, group: ChargeGroup) -> int | None:
        """The target of who gets what usage doesn't explain; None where nobody is named."""
        if split_key.owner == Owner():
            return None
        target = self._resolved(split_key, group)
        return self.drivers.book.number(target) if target.reason != NO_TEAM else None

    def _resolved(self, split_key: SplitKey, group: ChargeGroup) -> Target:
        organisation = self.drivers.organisation
        return resolve(organisation, split_key.owner, model=split_key.model, day=group.day)


def _across_projects(split_key: SplitKey) -> tuple[Key | None, str | None]:
    """The key and class that lines of several projects have in common."""
    key = split_key.key
    return key._replace(project=None) if key else None, split_key.token_class


def _told(amount: Amount | None) -> tuple[int, int] | None:
    return None if amount is None else (amount.quanta, amount.places)
