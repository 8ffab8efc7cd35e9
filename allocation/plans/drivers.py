"""Everything that a month's charges are split by, and what it is known by. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from allocation.catalogue.class_prices import ClassPrices
from allocation.organisation.stored import TargetBook
from allocation.organisation.targets import Organisation
from allocation.rules.methods import PROVIDER
from allocation.usage.index import UsageIndex
from allocation.usage.keys import Key
from allocation.usage.measures import GpuIndex, MeasureBook

# What plans can depend on, beside the charges and the settings of all.
DAY_USAGE, REPORT_USAGE = "usage of the day", "reports of the day"
MONTH_USAGE, OTHER_DATA = "usage of the month", "other data"


@dataclass
class Digests:
    """Fingerprints of the data that plans go by. `settings` cover all that every plan depends on:
    the organisation, whose a gateway's keys are, sampling, and the engine itself.
    """

    settings: str
    usage: Mapping[date, str]
    reports: Mapping[date, str]
    others: str  # GPU usage and uploaded series

    def of(self, data: str, day: date) -> object:
        """The fingerprint of one of the names that grounds give."""
        if data == DAY_USAGE:
            return self.usage.get(day)
        if data == REPORT_USAGE:
            return self.reports.get(day)
        return self.others if data == OTHER_DATA else self._month

    @cached_property
    def _month(self) -> str:
        days = repr((sorted(self.usage.items()), sorted(self.reports.items())))
        return hashlib.sha256(days.encode()).hexdigest()


@dataclass
class Drivers:
    """Everything that a month's charges are split by."""

    traces: UsageIndex
    reports: UsageIndex  # the providers' own usage reports
    measures: MeasureBook
    gpu: GpuIndex
    book: TargetBook
    organisation: Organisation
    digests: Digests
    prices: ClassPrices = field(default_factory=ClassPrices)

    def usage_of(self, key: Key, method: str) -> UsageIndex:
        """What answers a line: traces or the provider's report, whichever the method asks first and
        has the key.
        """
        indexes = [self.traces, self.reports]
        if method == PROVIDER:
            indexes.reverse()
        keys = (key, key._replace(is_reserved=False, region=None))
        found = (index for own in keys for index in indexes if index.facts.of_key(own))
        return next(found, indexes[0])
