"""Which bucket the charges of a month are in: by a look at every dimension, or by what former runs know of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from django.db import connection

from allocation.buckets import Bucket, DimensionRow, MemberKey, SourceSettings, beside_others, bucket_of
from allocation.catalogue import Entries
from allocation.charges import Extent, described, dimension_rows, read_members
from allocation.drivers import WholeMonthNeeded
from allocation.ledger import ensure_buckets
from allocation.models import AllocationRun, BucketMember, RunBucket
from allocation.models import Bucket as BucketModel
from allocation.row_tests import month_variant_sql
from allocation.rules import Rules


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
            row, source=self.sources[row.source_id], rules=self.rules, month=self.month, entries=self.entries
        )


@dataclass(frozen=True)
class Members:
    """Buckets of a month's charges. Those of `extent` are to be read; `variant` is the SQL that tells them apart by the
    rules' row tests.

    Of late runs: `known` are the buckets of the former run in each currency by id, whose members stay, `new` the
    members that came, and `touched` the buckets that have new charges.
    """

    extent: Extent
    variant: str
    new: Mapping[MemberKey, Bucket]
    known: Mapping[str, Mapping[int, Bucket]]
    touched: frozenset[Bucket]
    buckets: frozenset[Bucket]

    @cached_property
    def lines(self) -> str:
        """The hash of everything that usage is matched on: what stands apart on the bill, in each currency, decides how
        every day's calls are read."""
        keyed = (bucket for bucket in self.buckets if bucket.key)
        lines = {(bucket.currency, bucket.key, bucket.token_class, bucket.is_tiered) for bucket in keyed}
        return hashlib.sha256(repr(sorted(lines, key=repr)).encode()).hexdigest()

    def put(self, run: AllocationRun, former: AllocationRun | None) -> dict[Bucket, int]:
        """Write the run's buckets and members; the buckets' ids."""
        own = {member: bucket for member, bucket in self.new.items() if bucket.currency == run.currency}
        numbers = {bucket: number for number, bucket in self.known.get(run.currency, {}).items()}
        numbers |= ensure_buckets({bucket for bucket in own.values() if bucket not in numbers})
        RunBucket.objects.bulk_create(RunBucket(run_id=run.pk, bucket=number) for number in sorted(numbers.values()))
        with connection.cursor() as cursor:
            if former is not None:
                cursor.execute(SAME_MEMBERS_SQL, {"run": run.pk, "former": former.pk})
            with cursor.copy(MEMBER_COPY) as copy:
                lines = [
                    f"{run.pk}\t{source}\t{dimension}\t{variant}\t{numbers[bucket]}\n"
                    for (source, dimension, variant), bucket in sorted(own.items(), key=lambda member: member[0])
                ]
                for first in range(0, len(lines), 20_000):
                    copy.write("".join(lines[first : first + 20_000]))
        return numbers


MEMBER_COPY = "COPY bucket_member (run_id, source_id, dimension_id, variant, bucket) FROM STDIN"
SAME_MEMBERS_SQL = """
INSERT INTO bucket_member (run_id, source_id, dimension_id, variant, bucket)
SELECT %(run)s, source_id, dimension_id, variant, bucket FROM bucket_member WHERE run_id = %(former)s
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
        extent=Extent(tuple(scopes)), variant=variant, new=members, known={}, touched=buckets, buckets=buckets
    )


def late_members(
    namer: Namer, *, extent: Extent, scopes: Sequence[int], former: Mapping[str, AllocationRun]
) -> Members:
    """By a look at one dimension of each bucket of the former runs, and at those that the new snapshots `scopes`
    brought, whose charges are in the extent.

    Raises WholeMonthNeeded where a former bucket is another one now.
    """
    tests, month = namer.rules.row_tests, namer.month
    variant = month_variant_sql(tests, month=month, scopes=extent.scopes, only=extent.condition)
    came = set(read_members(month=month, scopes=scopes, tests=tests, variant=variant))
    numbers = _known_members([run.pk for run in former.values()])
    one_of = {number: member for member, number in numbers.items()}
    rows = described({*one_of.values(), *(came - numbers.keys())}, tests)
    named = beside_others({row.member: namer.bucket(row) for row in rows})
    of_number = {number: named[member] for number, member in one_of.items()}
    _check_same(of_number)
    new = {member: named[member] for member in came - numbers.keys()}
    return Members(
        extent=extent,
        variant=variant,
        new=new,
        known={
            currency: {number: bucket for number, bucket in of_number.items() if bucket.currency == currency}
            for currency in former
        },
        touched=frozenset(new[member] if member in new else of_number[numbers[member]] for member in came),
        buckets=frozenset(named.values()),
    )


def _known_members(runs: Sequence[int]) -> dict[MemberKey, int]:
    rows = BucketMember.objects.filter(run_id__in=runs)
    cells = rows.values_list("source_id", "dimension_id", "variant", "bucket")
    return {MemberKey(*member): number for *member, number in cells.iterator(chunk_size=20_000)}


def _check_same(buckets: Mapping[int, Bucket]) -> None:
    hashes = BucketModel.objects.filter(pk__in=list(buckets)).values_list("pk", "content_hash")
    if any(bytes(content_hash) != buckets[pk].content_hash for pk, content_hash in hashes.iterator(chunk_size=20_000)):
        raise WholeMonthNeeded("what is known of a bucket by others changed")
