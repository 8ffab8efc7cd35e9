"""Conditions of rules: what they see of a charge, and how their YAML form becomes a test. Pure.

Most columns are the same for every charge of a dimension, so a condition on them is asked once per
dimension. Amounts, quantities and `x_` columns differ from row to row: a test of those is a
`RowTest`, which PostgreSQL answers for each row (allocation.rules.row_tests), and charges of one
dimension that answer differently are told apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from allocation.catalogue.entries import Entries, compiled
from allocation.catalogue.naming import NOTHING_CALLED, CalledNames
from allocation.catalogue.wording import BillLine, bill_line
from allocation.organisation.targets import INFERRED, NAMED, TARGET_FIELDS, Owner
from allocation.rules.operands import in_range, number_of, words_of
from allocation.values.names import normal_name, quoted

COLUMNS = frozenset(
    """
    AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName AllocatedTags
    AvailabilityZone BillingAccountId BillingAccountName BillingAccountType BillingCurrency
    CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass ChargeDescription
    ChargeFrequency CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName
    CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedUnit
    HostProviderName InvoiceDetailId InvoiceId InvoiceIssuerName PricingCategory PricingCurrency
    PricingUnit PrincipalId ProviderName PublisherName RegionId RegionName ResourceId ResourceName
    ResourceType ServiceCategory ServiceName ServiceProviderName ServiceSubcategory SkuId SkuMeter
    SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType
    """.split()  # noqa: SIM905 - sixty names read better without sixty pairs of quotes
)
# Of each row, by their column of `charge`.
ROW_COLUMNS = {
    "BilledCost": "billed_cost",
    "EffectiveCost": "effective_cost",
    "ListCost": "list_cost",
    "ContractedCost": "contracted_cost",
    "ListUnitPrice": "list_unit_price",
    "ContractedUnitPrice": "contracted_unit_price",
    "ConsumedQuantity": "consumed_quantity",
    "PricingQuantity": "pricing_quantity",
    "CommitmentDiscountQuantity": "commitment_discount_quantity",
}
EXTRA_COLUMN = re.compile(r"x_[A-Za-z0-9_]{1,100}")
CATALOGUE_COLUMNS = ("Provider", "Project", "Model", "TokenClass", "Tier", "Kind")
TEXT_OPERATORS = ("equals", "in", "prefix", "contains", "regex")
RANGE_OPERATORS = ("above", "at_least", "below", "at_most")
OPERATORS = (*TEXT_OPERATORS, "missing", *RANGE_OPERATORS)


@dataclass(frozen=True)
class Facts:
    """One charge dimension as rules see it: FOCUS columns (by snake_case name), tags, and what the
    catalogue reads.
    """

    columns: Mapping[str, Any]
    passed: frozenset[RowTest] = frozenset()  # the row tests that these charges pass
    entries: Entries = ()  # of the organisation's own catalogue
    called: CalledNames = NOTHING_CALLED  # models that calls of the month name

    @cached_property
    def line(self) -> BillLine:
        texts = tuple(
            (name, value)
            for name, value in self.columns.items()
            if value is not None and name != "tags"
        )
        return _line(texts, self.entries, self.called)

    @cached_property
    def tags(self) -> dict[str, str]:
        """Values by normal key: those of the object that receives an allocated charge, then those
        of the charge.
        """
        return {**tag_values(self.columns.get("tags") or {}), **self.allocated_tags}

    @cached_property
    def named_tags(self) -> dict[str, str]:
        """Tags that name something: without those of a key alone, which FOCUS tells as true."""
        tags, allocated = self.columns.get("tags") or {}, self._allocated_tags
        return {**tag_values(without_flags(tags)), **tag_values(without_flags(allocated))}

    @cached_property
    def allocated_tags(self) -> dict[str, str]:
        """AllocatedTags alone: the tags of the receiving object, by normal key."""
        return tag_values(self._allocated_tags)

    @cached_property
    def _allocated_tags(self) -> dict[str, Any]:
        return json.loads(self.columns.get("allocated_tags") or "{}")  # type: ignore[no-any-return]

    @cached_property
    def catalogue(self) -> dict[str, str | None]:
        line = self.line
        kind = "model_usage" if line.is_model_usage else "hosting" if line.is_hosting else None
        kind = kind or ("gpu" if line.is_gpu else "other")
        return {
            "Provider": line.provider,
            "Project": line.project,
            "Model": line.model,
            "TokenClass": line.token_class,
            "Tier": line.tier,
            "Kind": kind,
        }


def tag_values(tags: Mapping[str, Any]) -> dict[str, str]:
    """Values by normal key. Of keys that differ only in case or spaces, the first with a value
    wins.
    """
    found: dict[str, str] = {}
    for key in sorted(tags):
        value = tags[key]
        text = "true" if value is True else str(value if value is not None else "").strip()
        if text and not found.get(normal_name(key)):
            found[normal_name(key)] = text
    return found


def without_flags(tags: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tags.items() if not isinstance(value, bool)}


@lru_cache(maxsize=1024)
def _line(texts: tuple[tuple[str, Any], ...], entries: Entries, called: CalledNames) -> BillLine:
    """Kept, since variants of one dimension come one after the other."""
    return bill_line(dict(texts), entries, called)


Reader = Callable[[Facts], str | None]
Condition = Callable[[Facts], bool]


def _snake(column: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower()


class RowTest(NamedTuple):
    """A test of one row's own number or `x_` column. `words` are texts, or plain decimal numbers
    for a range.
    """

    column: str  # as the rules write it: BilledCost, x_team ...
    operator: str
    words: tuple[str, ...]


def reader(name: str) -> Reader:
    """What reads a FOCUS column, `Tags.<key>`, `AllocatedTags.<key>` or `Catalogue.<what>` off a
    charge; raises ValueError for other names.
    """
    if name.startswith("Tags."):
        key = normal_name(name.removeprefix("Tags."))
        return lambda facts: facts.tags.get(key)
    if name.startswith("AllocatedTags."):
        allocated = normal_name(name.removeprefix("AllocatedTags."))
        return lambda facts: facts.allocated_tags.get(allocated)
    if name.startswith("Catalogue."):
        what = name.removeprefix("Catalogue.")
        if what not in CATALOGUE_COLUMNS:
            raise ValueError(
                f"there is no {name}; the catalogue reads {', '.join(CATALOGUE_COLUMNS)}"
            )
        return lambda facts: facts.catalogue[what]
    if name not in COLUMNS:
        raise ValueError(
            f"{quoted(name)} is neither a FOCUS column nor x_<name>, Tags.<key>, "
            "AllocatedTags.<key> or Catalogue.<what>"
        )
    column = _snake(name)
    return lambda facts: facts.columns.get(column)


# ---------------------------------------------------------------- conditions


def _always(_: Facts) -> bool:
    return True


def condition(when: Any) -> Condition:
    """A test from its YAML form; raises ValueError saying what is wrong.

    A mapping holds if all of its entries do: `all`, `any`, `not`, or a column with a value, a list
    or an operator.
    """
    if when is None:
        return _always
    if not isinstance(when, dict) or not when:
        raise ValueError(f"a condition is a mapping, not {quoted(when)}")
    return _all_of([_entry(str(name), value) for name, value in when.items()])


def _all_of(tests: list[Condition]) -> Condition:
    if len(tests) == 1:
        return tests[0]

    def holds(facts: Facts) -> bool:
        for test in tests:  # noqa: SIM110 - half the time of all(), and it runs for each charge and rule
            if not test(facts):
                return False
        return True

    return holds


def row_tests(when: Any) -> frozenset[RowTest]:
    """The row tests that a condition, valid as `condition` has it, asks for."""
    if not isinstance(when, dict):
        return frozenset()
    found: set[RowTest] = set()
    for name, value in when.items():
        if name in ("all", "any"):
            found.update(*map(row_tests, value))
        elif name == "not":
            found |= row_tests(value)
        elif is_row_column(str(name)):
            found.update(row_test(str(name), *entry) for entry in _comparisons(value))
    return frozenset(found)


class Need(NamedTuple):
    """What a condition cannot hold without: a row test passed, or a column with one of some
    texts.
    """

    test: RowTest | None = None
    column: str = ""
    texts: frozenset[str] = frozenset()


def need_of(when: Any) -> Need | None:
    """A need of a condition, valid as `condition` has it; None where none is easy to see. Row tests
    say most.
    """
    needs = list(_needs(when))
    return next((need for need in needs if need.test), needs[0] if needs else None)


def _needs(when: Any) -> Iterator[Need]:
    for name, value in (when or {}).items():
        if name == "all":
            for item in value:
                yield from _needs(item)
        elif is_row_column(str(name)):
            yield from (Need(row_test(str(name), *entry)) for entry in _comparisons(value))
        elif name not in ("any", "not"):
            for operator, operand in _comparisons(value):
                if operator in ("equals", "in"):
                    yield Need(column=str(name), texts=frozenset(words_of(operator, operand)))


def is_row_column(name: str) -> bool:
    return name in ROW_COLUMNS or EXTRA_COLUMN.fullmatch(name) is not None


def _entry(name: str, value: Any) -> Condition:
    if name in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise ValueError(f"`{name}` needs a list of conditions")
        tests = [condition(item) for item in value]
        if name == "all":
            return _all_of(tests)
        return lambda facts: any(test(facts) for test in tests)
    if name == "not":
        test = condition(value)
        return lambda facts: not test(facts)
    if is_row_column(name):
        asked = frozenset(row_test(name, *entry) for entry in _comparisons(value))
        return lambda facts: asked <= facts.passed
    read = reader(name)
    return _all_of([_operator(read, *entry) for entry in _comparisons(value)])


def _comparisons(value: Any) -> list[tuple[str, Any]]:
    """(operator, operand) of what stands beside a column."""
    if isinstance(value, list):
        return [("in", value)]
    if not isinstance(value, dict):
        return [("equals", value)]
    if not value:
        raise ValueError(f"an operator is missing; there are {', '.join(OPERATORS)}")
    return [(str(name), operand) for name, operand in value.items()]


def row_test(column: str, name: str, operand: Any) -> RowTest:
    """A test of a number or an `x_` column; raises ValueError for an operator that does not fit the
    column.
    """
    if name == "missing":
        return RowTest(column, name, (str(_yes_or_no(operand)).lower(),))
    if name in RANGE_OPERATORS:
        return RowTest(column, name, (str(_number(name, operand)),))
    if name not in TEXT_OPERATORS:
        raise ValueError(f"there is no operator {quoted(name)}; there are {', '.join(OPERATORS)}")
    if column in ROW_COLUMNS:
        if name != "equals":
            raise ValueError(
                f"{column} is a number: compare it by {', '.join(RANGE_OPERATORS)}, equals or "
                "missing"
            )
        return RowTest(column, name, (str(_number(name, operand)),))
    words = words_of(name, operand)
    if name == "regex":
        pattern_of(words[0])
    return RowTest(column, "in" if name == "equals" else name, tuple(sorted(set(words))))


def _operator(read: Reader, name: str, operand: Any) -> Condition:
    if name == "missing":
        is_missing = _yes_or_no(operand)
        return lambda facts: (read(facts) is None) is is_missing
    if name in RANGE_OPERATORS:
        limit = _number(name, operand)
        return lambda facts: (
            (number := number_of(read(facts))) is not None and in_range(number, name, limit)
        )
    if name not in TEXT_OPERATORS:
        raise ValueError(f"there is no operator {quoted(name)}; there are {', '.join(OPERATORS)}")
    words = words_of(name, operand)
    if name in ("equals", "in"):
        chosen = frozenset(words)
        return lambda facts: read(facts) in chosen
    if name == "prefix":
        return lambda facts: (text := read(facts)) is not None and text.startswith(words)
    if name == "contains":
        parts = tuple(word.casefold() for word in words)
        return lambda facts: (
            (text := read(facts)) is not None and any(part in text.casefold() for part in parts)
        )
    pattern = pattern_of(words[0])
    return lambda facts: (text := read(facts)) is not None and pattern.search(text) is not None


def _yes_or_no(operand: Any) -> bool:
    if not isinstance(operand, bool):
        raise ValueError(f"`missing` is true or false, not {quoted(operand)}")
    return operand


def _number(name: str, operand: Any) -> Decimal:
    """The limit of a range: a plain decimal, as YAML reads it or quoted."""
    number = number_of(str(operand))
    if number is None:
        raise ValueError(f"`{name}` needs a plain decimal number, not {quoted(operand)}")
    return number


def pattern_of(text: str) -> Any:
    """An RE2 pattern; raises ValueError for text that is none."""
    return compiled(text)


ValueSource = Callable[[Facts], tuple[str | None, int]]  # value and rung


def _value_source(name: str, spec: Any) -> ValueSource:
    """A field of the target: text, `{inferred: text}`, `{tag: key or keys}`, `{column: .., map:
    {..}}` or `{column: .., pattern: (..)}`.
    """
    if isinstance(spec, str | int) and not isinstance(spec, bool):
        return lambda _: (str(spec), NAMED)
    if not isinstance(spec, dict):
        raise ValueError(f"target {name} is text, a tag, a map or a pattern, not {quoted(spec)}")
    if set(spec) == {"inferred"}:  # an accepted suggestion: a named owner on the rung of a guess
        return lambda _: (str(spec["inferred"]), INFERRED)
    if set(spec) == {"tag"}:
        keys = tuple(normal_name(word) for word in words_of("tag", spec["tag"]))
        return lambda facts: (
            next((facts.named_tags[key] for key in keys if key in facts.named_tags), None),
            NAMED,
        )
    if set(spec) == {"column", "map"} and isinstance(spec["map"], dict):
        read, values = (
            reader(str(spec["column"])),
            {str(key): str(value) for key, value in spec["map"].items()},
        )
        return lambda facts: (values.get(read(facts) or ""), NAMED)
    if set(spec) == {"column", "pattern"}:
        read, pattern = reader(str(spec["column"])), pattern_of(str(spec["pattern"]))
        if pattern.groups != 1:
            raise ValueError(f"target {name}: the pattern needs one group, which is the {name}")
        return lambda facts: (
            found.group(1) if (found := pattern.search(read(facts) or "")) else None,
            INFERRED,
        )
    raise ValueError(f"target {name} is text, a tag, a map or a pattern, not {quoted(spec)}")


OwnerReader = Callable[[Facts], Owner]


def owner_reader(spec: Any) -> OwnerReader:
    if not isinstance(spec, dict):
        raise ValueError(f"a target is a mapping of {', '.join(TARGET_FIELDS)}, not {quoted(spec)}")
    unknown = sorted(set(map(str, spec)) - set(TARGET_FIELDS))
    if unknown:
        raise ValueError(f"a target has no {', '.join(unknown)}; it has {', '.join(TARGET_FIELDS)}")
    sources = [(name, _value_source(name, value)) for name, value in spec.items()]

    def read(facts: Facts) -> Owner:
        found = {name: source(facts) for name, source in sources}
        values: dict[str, Any] = {name: value for name, (value, _) in found.items()}
        return Owner(**values, rung=found["team"][1] if "team" in found else NAMED)

    return read
