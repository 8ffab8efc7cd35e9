"""From groups and drivers to plans: what each charge group of a run is split by, stage after stage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import partial
from itertools import groupby
from typing import NamedTuple

from allocation.charges.groups import Group
from allocation.charges.split_keys import Bucket
from allocation.ledger.writer import LedgerWriter
from allocation.organisation.owners import Owner
from allocation.organisation.targets import Target, resolve
from allocation.plans.allocation_base import Related, change_by_day, sum_by_day
from allocation.plans.capacity import capacity_plan
from allocation.plans.gpu import GpuLine, gpu_plan
from allocation.plans.plan import Part, Plan
from allocation.plans.shared import Splitter
from allocation.plans.traced import (
    Billed,
    MonthSums,
    TracedLine,
    Usual,
    is_loss_of_a_few,
    is_low,
    traced_plan,
)
from allocation.plans.unattributed import Adoption
from allocation.rules.methods import BY_USAGE, FOLLOW, GPU, NONE
from allocation.runs.inputs import Drivers
from allocation.usage.index import Key, UsageIndex, WholeMonthNeeded, billed_classes, month_name
from allocation.values.reasons import IDLE, NO_GPU_USAGE, NO_TEAM, UNTRACED
from allocation.values.stages import BY_DAY, BY_REPORTS

ZERO = Fraction(0)

BilledKey = tuple[Key | None, str | None]  # with the token class


@dataclass(frozen=True)
class LateDays:
    """Of part BY_DAY only these days are carried out, the others are those of the `former` run, as
    are the `staying` parts. `billed` are tokens of the other days; `asked` are lines whose usual
    coverage days were split by.
    """

    former: int
    days: frozenset[date]
    staying: frozenset[int]
    billed: Mapping[BilledKey, Fraction | None]
    asked: Mapping[Asking, Asked]


class Asking(NamedTuple):
    """A billed line whose usual coverage is asked for: by traces, or by the provider's report."""

    key: Key
    token_class: str | None
    is_reported: bool

    def usage(self, drivers: Drivers) -> UsageIndex:
        return drivers.reported if self.is_reported else drivers.index


class Asked(NamedTuple):
    """What that coverage was in a former run, and what the other days have of it."""

    columns: tuple[int, ...]
    before: MonthSums
    elsewhere: MonthSums
    days: Mapping[date, MonthSums]  # the other ones


@dataclass
class Engine:
    """Plans of one run. `numbers` are the buckets' ids.

    `month_reads` tells, by day, what of the month as a whole the plans of part BY_DAY went by.
    """

    month: date
    run_id: int
    numbers: dict[Bucket, int]
    groups: list[Group]
    drivers: Drivers
    late: LateDays | None = None

    def __post_init__(self) -> None:
        self.by_number = {number: bucket for bucket, number in self.numbers.items()}
        drivers = self.drivers
        self.month_reads: dict[date, set[str]] = {}
        self.asked: dict[
            Asking, tuple[int, ...]
        ] = {}  # of whose usual coverage was asked, with the columns
        self.billed = self._billed_tokens()
        self.billed_beside: dict[tuple[BilledKey, bool], Billed] = {}
        self.classes = billed_classes((b.key, b.token_class) for b in self.numbers if b.key)
        self.lines: dict[tuple[int, int], tuple[TracedLine, UsageIndex]] = {}
        self.gpu_lines: dict[tuple[int, int], GpuLine] = {}
        self.plans: dict[tuple[int, int], Plan] = {}
        self.month_plans: dict[tuple[int, int], Plan] = {}
        self.asked_first: dict[tuple[int, date], Plan] = {}  # of the part that is written next
        self.adoptions = {
            id(index): Adoption(index, drivers.book) for index in (drivers.index, drivers.reported)
        }
        self.splitter = Splitter(drivers.organisation, drivers.measures, drivers.book.number)
        self.given(Related({}, 0))
        if self.late is not None:
            self._check_usual(self.late)

    def carry_out(self, writer: LedgerWriter, progress: Callable[[int], None]) -> None:
        """Write every group: what stands by itself first, then what is weighted by it, then what
        follows all.
        """
        done = 0
        written = {
            BY_DAY,
            BY_REPORTS,
        }  # parts whose outcome later ones were not told yet; a former run may have it
        for part, groups in self._parts():
            if part > BY_REPORTS:
                self.given(self.related.joined(self._given_by(written)))
                written.clear()
            self._name_targets(groups)
            self._ask_first(groups)
            writer.write(part, groups, self.by_number, self.plan, partial(_further, progress, done))
            written.add(part)
            done += len(groups)

    def _given_by(self, parts: Collection[int]) -> Related:
        if BY_DAY in parts:
            if self.late:
                change_by_day(
                    run_id=self.run_id,
                    month=self.month,
                    former=self.late.former,
                    days=self.late.days,
                )
            else:
                sum_by_day(run_id=self.run_id, month=self.month)
        return Related.read(
            run_id=self.run_id,
            month=self.month,
            parts=parts,
            buckets=self.by_number,
            book=self.drivers.book,
        )

    def given(self, related: Related) -> None:
        """From here on, splits by other cost go by this."""
        self.related = self.splitter.costs = related

    def _parts(self) -> Iterator[tuple[int, list[Group]]]:
        """Groups of each part by place, and within a place in canonical order."""
        rank = {self.numbers[bucket]: (bucket.part, bucket.content_hash) for bucket in self.numbers}

        def place(group: Group) -> tuple[int, date, bool, bytes]:
            part, content_hash = rank[group.bucket]
            return part, group.day, group.is_spread, content_hash

        for part, groups in groupby(
            sorted(self.groups, key=place), key=lambda group: rank[group.bucket][0]
        ):
            if self.late is None or part not in self.late.staying:
                yield part, list(groups)

    def _name_targets(self, groups: list[Group]) -> None:
        """Every target that plans may need, so that all have an id before the first row is written."""
        for group in groups:
            bucket = self._bucket(group)
            if bucket.method in BY_USAGE:
                line, index = self._line(bucket, group)
                self.adoptions[id(index)].name(line)
            elif bucket.method == GPU:
                self._gpu_line(bucket, group)
            else:
                self.plan(bucket, group)
        self.drivers.book.settle()

    def _ask_first(self, groups: list[Group]) -> None:
        """In a late run WholeMonthNeeded comes before anything is written."""
        if self.late is not None:
            self.asked_first = {
                (group.bucket, group.day): self.plan(self._bucket(group), group) for group in groups
            }

    def _bucket(self, group: Group) -> Bucket:
        return self.by_number[group.bucket]

    def plan(self, bucket: Bucket, group: Group) -> Plan:
        known = self.asked_first.get((group.bucket, group.day)) if self.late is not None else None
        if known is not None:
            return known
        reads = self.month_reads.setdefault(group.day, set()) if bucket.part == BY_DAY else set()
        self.drivers.index.month_reads = self.drivers.measures.month_reads = reads
        return self._plan(bucket, group)

    def _plan(self, bucket: Bucket, group: Group) -> Plan:
        if bucket.method in BY_USAGE:
            return self._usage_plan(bucket, group)
        if bucket.method == GPU:
            return gpu_plan(
                self._gpu_line(bucket, group), group.day, self.drivers.gpu, self.drivers.book.rank
            )
        if bucket.split is not None:
            return self.splitter.plan(bucket, group.day)
        return self._own_plan(bucket, group)

    def _usage_plan(self, bucket: Bucket, group: Group) -> Plan:
        name = (group.bucket, self.drivers.organisation.epoch(group.day))
        known = self.month_plans.get(name)
        if known is not None:
            return known
        line, index = self._line(bucket, group)
        if bucket.capacity is not None:
            units = group.consumed if group.consumed is not None else group.pricing
            plan = capacity_plan(line, bucket.capacity, group.day, index, units=units)
        else:
            plan = traced_plan(
                line, group.day, index, self._billed_beside(billed_key(bucket), index)
            )
        parts = self.adoptions[id(index)].parts(line, plan.parts)
        if parts is not plan.parts:
            plan = plan._replace(parts=parts)
        if line.by_month and plan.widened in (None, "region, month"):  # the day has no say in it
            self.month_plans[name] = plan
        return plan

    # ------------------------------------------------------------ direct, none, follow

    def _own_plan(self, bucket: Bucket, group: Group) -> Plan:
        name = (group.bucket, self.drivers.organisation.epoch(group.day))
        plan = self.plans.get(name)
        if plan is None:
            plan = self.plans[name] = self._new_plan(bucket, group)
        return plan

    def _new_plan(self, bucket: Bucket, group: Group) -> Plan:
        book = self.drivers.book
        if bucket.method == FOLLOW:
            return self.related.plan(bucket, book)
        if bucket.method == NONE:
            target = Target(model=bucket.model, reason=bucket.reason)
        else:
            target = resolve(
                self.drivers.organisation, bucket.owner, model=bucket.model, day=group.day
            )
        part = Part(1, bucket.kind or "direct", ((book.number(target), 1, bucket.owner.rung),))
        return Plan(parts=(part,))

    # ------------------------------------------------------------ traced, provider's and GPU usage

    def _line(self, bucket: Bucket, group: Group) -> tuple[TracedLine, UsageIndex]:
        """The bucket as usage is matched on it, and where: traces, else the provider's report."""
        name = (group.bucket, self.drivers.organisation.epoch(group.day))
        found = self.lines.get(name)
        if found is None:
            if bucket.key is None:
                raise LookupError("a bucket split by usage needs a key")
            line = TracedLine(
                key=bucket.key,
                token_class=bucket.token_class,
                billed_classes=self.classes.get(bucket.key, frozenset()),
                policy=bucket.source.untraced,
                owner=self._owner(bucket, group),
                owner_rung=bucket.owner.rung,
                nobody=self.drivers.book.number(Target(model=bucket.model, reason=UNTRACED)),
                pool_cache_writes=bucket.usage.pool_cache_writes,
                by_month=bucket.usage.by_month,
            )
            found = self.lines[name] = (line, self.drivers.usage_of(bucket.key, bucket.method))
        return found

    def _gpu_line(self, bucket: Bucket, group: Group) -> GpuLine:
        name = (group.bucket, self.drivers.organisation.epoch(group.day))
        line = self.gpu_lines.get(name)
        if line is None:
            book = self.drivers.book
            line = self.gpu_lines[name] = GpuLine(
                node=bucket.node_id if self._is_known_by_id(bucket) else bucket.node,
                owner=self._owner(bucket, group),
                owner_rung=bucket.owner.rung,
                idle=book.number(Target(reason=IDLE)),
                nobody=book.number(Target(reason=NO_GPU_USAGE)),
            )
        return line

    def _is_known_by_id(self, bucket: Bucket) -> bool:
        known = self.drivers.gpu.nodes
        return bucket.node not in known and bucket.node_id in known

    def _owner(self, bucket: Bucket, group: Group) -> int | None:
        """The target of who gets what usage doesn't explain; None where nobody is named."""
        if bucket.owner == Owner():
            return None
        target = resolve(self.drivers.organisation, bucket.owner, model=bucket.model, day=group.day)
        return self.drivers.book.number(target) if target.reason != NO_TEAM else None

    def _reads_billed(self, name: BilledKey) -> None:
        """Somebody asks how much was billed in the month."""
        key = name[0]
        if key is not None:
            self.drivers.index.month_reads.add(month_name(key.provider, key.model))

    def _billed_beside(self, name: BilledKey, index: UsageIndex) -> Billed:
        """What is billed, which usage of the index is compared with."""
        is_reported = index is self.drivers.reported
        known = self.billed_beside.get((name, is_reported))
        if known is None:
            known, (key, token_class) = self.billed[name], name
            if key is not None:
                known = replace(
                    known, asks_usual=partial(self._asks, Asking(key, token_class, is_reported))
                )
            self.billed_beside[name, is_reported] = known
        return known

    def _asks(self, asking: Asking, columns: tuple[int, ...]) -> None:
        """Somebody asks how much of the month's bill is usually traced."""
        self.asked[asking] = columns
        if self.late is not None:
            if asking not in self.late.asked:
                raise WholeMonthNeeded(f"usual coverage of {asking}")
            sums = self.late.asked[asking].elsewhere
            asking.usage(self.drivers).elsewhere[asking.key, columns] = (sums.traced, sums.calls)

    def _check_usual(self, late: LateDays) -> None:
        """Raises WholeMonthNeeded where the days moved a usual coverage so that others are split
        otherwise.
        """
        for asking, asked in late.asked.items():
            index, name = asking.usage(self.drivers), (asking.key, asking.token_class)
            of_days = [index.traced(asking.key, day, asked.columns) for day in late.days]
            calls = [index.calls(asking.key, day, asked.columns) for day in late.days]
            billed = self.billed.get(name)
            now = MonthSums(
                asked.elsewhere.traced + sum(of_days),
                asked.elsewhere.calls + sum(calls),
                billed.whole if billed else self._billed_month(name, {}),
            )
            usual, before = Usual.of(now), Usual.of(asked.before)
            if usual != before and any(
                is_loss_of_a_few(of.traced, of.billed, usual)
                != is_loss_of_a_few(of.traced, of.billed, before)
                for of in asked.days.values()
                if of.billed is not None and is_low(of.traced, of.billed)
            ):
                raise WholeMonthNeeded(f"usual coverage of {asking}")

    def _billed_month(
        self, name: BilledKey, by_day: Mapping[date, Fraction | None]
    ) -> Fraction | None:
        known = list(by_day.values())
        if self.late is not None:
            known = [by_day.get(day, ZERO) for day in self.late.days] + [
                self.late.billed.get(name, ZERO)
            ]
        return None if None in known else sum((q for q in known if q), ZERO)

    def _billed_tokens(self) -> dict[BilledKey, Billed]:
        """Tokens billed under each key and class: the denominator of coverage, over all buckets
        that share it.
        """
        days: dict[BilledKey, dict[date, Fraction | None]] = {}
        for group in self.groups:
            bucket = self._bucket(group)
            if bucket.key is None:
                continue
            by_day = days.setdefault(billed_key(bucket), {})
            tokens, known = (
                bucket.tokens(group.consumed, group.pricing),
                by_day.get(group.day, ZERO),
            )
            by_day[group.day] = known + tokens if known is not None and tokens is not None else None
        return {
            name: Billed(
                by_day, self._billed_month(name, by_day), partial(self._reads_billed, name)
            )
            for name, by_day in days.items()
        }


def _further(progress: Callable[[int], None], before: int, written: int) -> None:
    progress(before + written)


def billed_key(bucket: Bucket) -> BilledKey:
    """What billed tokens are summed under."""
    return (bucket.key, bucket.token_class)
