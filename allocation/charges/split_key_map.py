"""Which bucket the charges of a month are in: by a look at every dimension, or by what former runs
know of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from django.db import connection

from allocation.catalogue.entries import Entries
from allocation.charges.groups import Extent, described, dimension_rows, read_members
from allocation.charges.split_keys import (
    Bucket,
    DimensionRow,
    MemberKey,
    SourceSettings,
    beside_others,
    bucket_of,
)
from allocation.models import AllocationRun, BucketMember, RunBucket
from allocation.models import Bucket as BucketModel
from allocation.rules.row_tests import month_variant_sql
from allocation.rules.rules import Rules
from allocation.storage.rows_by_content import ensure_rows
from allocation.usage.index import WholeMonthNeeded


@dataclass(frozen=True)
class Namer:
    """What decides on the bucket of a dimension."""

    month: date
    rules: Rules
    entries: Entries
    sources: Mapping[int, SourceSettings]

    def bucket(self, row: DimensionRow) -> Bucket:
        """The row's bucket, as far as it stands by itself."""
        return bucket_of(
            row,
            source=self.sources[row.source_id],
            rules=self.rules,
            month=self.month,
            entries=self.entries,
        )

    def named(self, members: Iterable[MemberKey]) -> dict[MemberKey, Bucket]:
        """The buckets of charges of these members."""
        return {row.member: self.bucket(row) for row in described(members, self.rules.row_tests)}


@dataclass(frozen=True)
class Members:
    """Buckets of a month's charges. Those of `extent` are to be read; `variant` is the SQL that
    tells them apart by the rules' row tests.

    Of late runs: `known` are the buckets of the former run in each currency by id, whose members
    stay, `new` the members that came, and `touched` the buckets that have new charges.
    """

    extent: Extent
    variant: str
    new: Mapping[MemberKey, Bucket]
    known: Mapping[str, Mapping[int, Bucket]]
    touched: frozenset[Bucket]
    buckets: frozenset[Bucket]

    @cached_property
    def lines(self) -> str:
        """The hash of everything that usage is matched on: what stands apart on the bill, in each
        currency, decides how every day's calls are read.
        """
        keyed = (bucket for bucket in self.buckets if bucket.key)
        lines = {
            (bucket.currency, bucket.key, bucket.token_class, bucket.is_tiered) for bucket in keyed
        }
        return hashlib.sha256(repr(sorted(lines, key=repr)).encode()).hexdigest()

    def put(self, run: AllocationRun, former: AllocationRun | None) -> dict[Bucket, int]:
        """Write the run's buckets and members; the buckets' ids."""
        own = {
            member: bucket for member, bucket in self.new.items() if bucket.currency == run.currency
        }
        known = {bucket: number for number, bucket in self.known.get(run.currency, {}).items()}
        came = ensure_buckets({bucket for bucket in own.values() if bucket not in known})
        numbers = known | came
        remember(numbers)
        RunBucket.objects.bulk_create(
            RunBucket(run_id=run.pk, bucket=number) for number in sorted(came.values())
        )
        with connection.cursor() as cursor:
            if former is not None:
                cursor.execute(SAME_MEMBERS_SQL, {"run": run.pk, "former": former.pk})
                cursor.execute(SAME_BUCKETS_SQL, {"run": run.pk, "former": former.pk})
            with cursor.copy(MEMBER_COPY) as copy:
                lines = [
                    f"{run.pk}\t{source}\t{dimension}\t{variant}\t{numbers[bucket]}\n"
                    for (source, dimension, variant), bucket in sorted(
                        own.items(), key=lambda member: member[0]
                    )
                ]
                for first in range(0, len(lines), 20_000):
                    copy.write("".join(lines[first : first + 20_000]))
        return numbers


MEMBER_COPY = "COPY bucket_member (run_id, source_id, dimension_id, variant, bucket) FROM STDIN"
SAME_MEMBERS_SQL = """
INSERT INTO bucket_member (run_id, source_id, dimension_id, variant, bucket)
SELECT %(run)s, source_id, dimension_id, variant, bucket FROM bucket_member
    WHERE run_id = %(former)s
"""
SAME_BUCKETS_SQL = """
INSERT INTO run_bucket (run_id, bucket) SELECT %(run)s, bucket FROM run_bucket
    WHERE run_id = %(former)s
"""


def all_members(namer: Namer, *, scopes: Sequence[int]) -> Members:
    """By a look at every dimension that the snapshots' charges have."""
    tests, month = namer.rules.row_tests, namer.month
    variant = month_variant_sql(tests, month=month, scopes=scopes)
    members = beside_others(
        {
            row.member: namer.bucket(row)
            for row in dimension_rows(month=month, scopes=scopes, tests=tests, variant=variant)
        }
    )
    buckets = frozenset(members.values())
    return Members(
        extent=Extent(tuple(scopes)),
        variant=variant,
        new=members,
        known={},
        touched=buckets,
        buckets=buckets,
    )


def late_members(
    namer: Namer, *, extent: Extent, scopes: Sequence[int], former: Mapping[str, AllocationRun]
) -> Members:
    """By what is known of the former runs' buckets, and a look at the dimensions that the new
    snapshots `scopes` brought, whose charges are in the extent.

    Raises WholeMonthNeeded where a former bucket is another one now.
    """
    tests, month = namer.rules.row_tests, namer.month
    variant = month_variant_sql(tests, month=month, scopes=extent.scopes, only=extent.condition)
    came = set(read_members(month=month, scopes=scopes, tests=tests, variant=variant))
    numbers = _known_members([run.pk for run in former.values()])
    hashes = _hashes(set(numbers.values()))
    settled = beside_others(
        {**_alone(namer, numbers, hashes), **namer.named(came - numbers.keys())}
    )
    of_number = {number: settled[number] for number in hashes}
    if any(bucket.content_hash != hashes[number][1] for number, bucket in of_number.items()):
        raise WholeMonthNeeded("what is known of a bucket by others changed")
    new = {member: settled[member] for member in came - numbers.keys()}
    return Members(
        extent=extent,
        variant=variant,
        new=new,
        known={
            currency: {
                number: bucket
                for number, bucket in of_number.items()
                if bucket.currency == currency
            }
            for currency in former
        },
        touched=frozenset(
            new[member] if member in new else of_number[numbers[member]] for member in came
        ),
        buckets=frozenset(settled.values()),
    )


def _alone(
    namer: Namer, numbers: Mapping[MemberKey, int], hashes: Mapping[int, tuple[int, bytes]]
) -> dict[int, Bucket]:
    """Buckets of former runs by id: what this process remembers of them, else by one dimension of
    each.
    """
    remembered = {
        number: _remembered[name] for number, name in hashes.items() if name in _remembered
    }
    one_of = {number: member for member, number in numbers.items() if number not in remembered}
    named = namer.named(one_of.values())
    return remembered | {number: named[member] for number, member in one_of.items()}


def _known_members(runs: Sequence[int]) -> dict[MemberKey, int]:
    rows = BucketMember.objects.filter(run_id__in=runs)
    cells = rows.values_list("source_id", "dimension_id", "variant", "bucket")
    return {MemberKey(*member): number for *member, number in cells.iterator(chunk_size=20_000)}


def _hashes(buckets: Collection[int]) -> dict[int, tuple[int, bytes]]:
    """Source and content hash of buckets by id: all that they are."""
    rows = BucketModel.objects.filter(pk__in=buckets).values_list("pk", "source_id", "content_hash")
    return {
        pk: (source, bytes(content)) for pk, source, content in rows.iterator(chunk_size=20_000)
    }


# Buckets that runs of this process had, by what they are and not by their ids, so that no change of
# the database makes them wrong: the next run need not find out again what dimensions and rules make
# of them.
_remembered: dict[tuple[int, bytes], Bucket] = {}
MOST_REMEMBERED = 20_000


def forget() -> None:
    _remembered.clear()


def remember(buckets: Collection[Bucket]) -> None:
    """Instead of those of other months where these would be too many; not at all where they are by
    themselves.
    """
    if len(_remembered) + len(buckets) > MOST_REMEMBERED:
        forget()
    if len(buckets) <= MOST_REMEMBERED:
        _remembered.update({(bucket.source.id, bucket.content_hash): bucket for bucket in buckets})


def ensure_buckets(buckets: Iterable[Bucket]) -> dict[Bucket, int]:
    """Ids of these buckets, made where they are new."""
    by_key = {(bucket.source.id, bucket.content_hash): bucket for bucket in buckets}
    ids = ensure_rows(BucketModel, by_key, _bucket_columns, by=("source_id", "content_hash"))
    return {bucket: ids[key] for key, bucket in by_key.items()}


def _bucket_columns(bucket: Bucket) -> dict[str, Any]:
    return {
        "rule": bucket.rule,
        "method": bucket.method,
        "ai_scope": bucket.ai_scope,
        "provider_name": bucket.provider_name,
        "service_name": bucket.service_name,
        "charge_category": bucket.charge_category,
        "split_key": bucket.split_key,
    }
