"""What bill and traces of a month know of the same models: the input of reports.analysis.gap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext

from allocation.catalogue.own_entries import own_catalogue
from allocation.usage.keys import ANY_PROJECT
from allocation.values.money import exact_sum
from reports.analysis.gap import WORKING_DIGITS, BilledLine, ComparedModel, SourceBill
from reports.asking import TeamScope
from reports.cost_question.runs import MonthRun
from reports.queries.reconcile.gap_charges import BilledSource, Name, billed_sources
from reports.queries.reconcile.gap_joins import joined_rows
from reports.queries.reconcile.gap_usage import TracedModel, UsageRow, month_usage


@dataclass(frozen=True)
class OffTheBill:
    """Traced usage that no bill of the month has, or two have: by provider, project and model. USD,
    NULL parts 0.
    """

    provider: str | None
    project: str | None
    model: str | None
    calls: Decimal
    unpriced_calls: Decimal
    estimate: Decimal
    reason: str


@dataclass(frozen=True)
class GapInputs:
    """`through` is the last day of each source's model usage; later traces wait for their bill and
    are left out.
    """

    bills: tuple[SourceBill, ...]
    off_the_bill: tuple[OffTheBill, ...]
    through: Mapping[tuple[str, str], date]  # by source and currency


def gap_inputs(*, month: date, runs: Sequence[MonthRun], scope: TeamScope) -> GapInputs:
    """Every source and currency with model usage in the current runs of a month. Whole bills, so
    nothing for a reader who sees only some teams.
    """
    if not scope.is_everything:
        return GapInputs((), (), {})
    charges = [source for run in runs for source in billed_sources(question=run)]
    found = Sources(charges)
    found.take(joined_rows(charges, month_usage(month), own_catalogue().entries))
    return GapInputs(
        tuple(source.bill() for source in found.sources),
        tuple(found.off_the_bill()),
        {
            (source.name, source.currency): source.through
            for source in found.sources
            if source.through
        },
    )


@dataclass
class SourceUsage:
    """A source's charges with the traces that belong to them."""

    charges: BilledSource
    traced: dict[Name, TracedModel] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.charges.name

    @property
    def currency(self) -> str:
        return self.charges.currency

    @property
    def through(self) -> date | None:
        return self.charges.through

    def named(self, name: Name) -> Name | None:
        """The source's own name for a model of the traces, where its bill has a line of it."""
        for known in (name, (name[0], ANY_PROJECT, name[2])):
            if known in self.charges.lines:
                return known
        return None

    def bills(self, provider: str | None, projects: set[str | None] | None) -> bool:
        """Whether its bill has a line of the provider, in one of the projects or in any."""
        return any(
            name[0] == provider and (projects is None or name[1] in projects)
            for name in self.charges.lines
        )

    def bill(self) -> SourceBill:
        lines = self.charges.lines
        names = sorted({*lines, *self.traced}, key=lambda name: tuple(part or "" for part in name))
        return SourceBill(
            source_id=self.charges.id,
            source=self.name,
            currency=self.currency,
            models=tuple(
                _model_usage(name, lines.get(name, ()), self.traced.get(name)) for name in names
            ),
            credit=self.charges.credit,
            credit_rows=self.charges.credit_rows,
            late_cost=self.charges.late_cost,
            late_deliveries=self.charges.late_deliveries,
            other_months_cost=self.charges.other_months_cost,
            other_months_rows=self.charges.other_months_rows,
        )


def _model_usage(
    name: Name, lines: tuple[BilledLine, ...], traced: TracedModel | None
) -> ComparedModel:
    if traced is None:
        return ComparedModel(*name, lines=lines)
    with localcontext(prec=WORKING_DIGITS):
        prices = traced.prices()
    return ComparedModel(
        *name,
        lines=lines,
        traced=traced.tokens(),
        prices=prices,
        calls=traced.calls,
        silent_calls=traced.silent,
        unpriced_calls=traced.unpriced,
        batch_calls=traced.batch,
    )


class Sources:
    """Gives each traced model to the one source whose bill has it; what none or several could have
    stays apart.
    """

    def __init__(self, charges: Sequence[BilledSource]) -> None:
        self.sources = [SourceUsage(source) for source in charges]
        self.apart: dict[tuple[Name, str], TracedModel] = {}

    def take(self, rows: Iterable[UsageRow]) -> None:
        homes: dict[Name, tuple[SourceUsage | None, Name, str]] = {}
        with localcontext(prec=WORKING_DIGITS):
            for row in rows:
                if row.name not in homes:
                    homes[row.name] = self._home(row.name)
                source, name, reason = homes[row.name]
                if source is None:
                    self.apart.setdefault((name, reason), TracedModel()).add(row)
                elif source.through is None or row.day <= source.through:
                    source.traced.setdefault(name, TracedModel()).add(row)

    def _home(self, name: Name) -> tuple[SourceUsage | None, Name, str]:
        """By model, then by project, then by provider: the narrowest at which a single source
        answers.
        """
        exact = [(source, named) for source in self.sources if (named := source.named(name))]
        if exact:
            source, named = exact[0]
            if len(exact) == 1:
                return source, named, ""
            return None, name, "on the bills of several sources"
        provider, project, _ = name
        for places in ((provider, {project, ANY_PROJECT}), (provider, None)):
            wanted = [source for source in self.sources if source.bills(*places)]
            if len(wanted) == 1:
                return wanted[0], name, ""
            if wanted:
                return None, name, "several sources bill this provider"
        return None, name, "no bill of this provider"

    def off_the_bill(self) -> list[OffTheBill]:
        """Largest estimate first."""
        found = [
            OffTheBill(
                *name,
                calls=model.calls,
                unpriced_calls=model.unpriced,
                estimate=exact_sum(sums.list_cost for sums in model.columns.values()),
                reason=reason,
            )
            for (name, reason), model in self.apart.items()
        ]
        return sorted(found, key=lambda one: (-one.estimate, -one.calls, one.model or ""))
