"""Allocation rules: from readable YAML to frozen values, and the first rule that takes a charge. Pure.

A document has two ordered lists: `scope` says whether a charge is AI spend, `rules` who pays. In both the first entry
whose `when` holds decides. docs/rules.md shows the language; every error names the entry and what is wrong with it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import re2  # rules are written by users: matching must be linear in time
import yaml

from allocation.catalogue import BillLine, bill_line
from allocation.periods import BadPeriod, Period

METHODS = ("direct", "traced_usage", "follow", "unallocated")
AI_SCOPES = ("ai", "ai_supporting", "other")
TARGET_FIELDS = ("team", "feature", "product", "environment", "customer", "phase")

COLUMNS = frozenset(
    """AllocatedMethodId AllocatedResourceId AllocatedResourceName AvailabilityZone BillingAccountId BillingAccountName
    BillingAccountType BillingCurrency CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass
    ChargeDescription ChargeFrequency CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName
    CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedUnit HostProviderName
    InvoiceDetailId InvoiceId InvoiceIssuerName PricingCategory PricingCurrency PricingUnit PrincipalId ProviderName
    PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName
    ServiceProviderName ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName
    SubAccountType""".split()  # noqa: SIM905 - sixty names read better without sixty pairs of quotes
)
CATALOGUE_COLUMNS = ("Provider", "Project", "Model", "TokenClass", "Tier", "Kind")
OPERATORS = ("equals", "in", "prefix", "contains", "regex", "missing")


class RuleError(ValueError):
    """The rules cannot be used; `problems` names each entry and what is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


# ---------------------------------------------------------------- what a rule sees


def normal_name(text: str) -> str:
    """Text as names are compared: one Unicode form, no case, no invisible characters, no outer or doubled spaces."""
    if text.isascii():
        return " ".join(text.split()).casefold()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())  # casefold may undo the form
    return " ".join("".join(letter for letter in folded if unicodedata.category(letter) != "Cf").split())


@dataclass(frozen=True)
class Facts:
    """One charge dimension as rules see it: FOCUS columns (by snake_case name), tags, and what the catalogue reads."""

    columns: Mapping[str, Any]

    @cached_property
    def line(self) -> BillLine:
        return bill_line(self.columns)

    @cached_property
    def tags(self) -> dict[str, str]:
        """Values by normal key. Of keys that differ only in case or spaces, the first with a value wins."""
        found: dict[str, str] = {}
        tags = self.columns.get("tags") or {}
        for key in sorted(tags):
            value = tags[key]
            text = "true" if value is True else str(value if value is not None else "").strip()
            if text and not found.get(normal_name(key)):
                found[normal_name(key)] = text
        return found

    @cached_property
    def catalogue(self) -> dict[str, str | None]:
        line = self.line
        kind = "model_usage" if line.is_model_usage else "gpu" if line.is_gpu else "other"
        return {
            "Provider": line.provider,
            "Project": line.project,
            "Model": line.model,
            "TokenClass": line.token_class,
            "Tier": line.tier,
            "Kind": kind,
        }


Reader = Callable[[Facts], str | None]
Condition = Callable[[Facts], bool]


def _snake(column: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower()


def reader(name: str) -> Reader:
    """What reads a FOCUS column, `Tags.<key>` or `Catalogue.<what>` off a charge; raises ValueError for other names."""
    if name.startswith("Tags."):
        key = normal_name(name.removeprefix("Tags."))
        return lambda facts: facts.tags.get(key)
    if name.startswith("Catalogue."):
        what = name.removeprefix("Catalogue.")
        if what not in CATALOGUE_COLUMNS:
            raise ValueError(f"there is no {name}; the catalogue reads {', '.join(CATALOGUE_COLUMNS)}")
        return lambda facts: facts.catalogue[what]
    if name not in COLUMNS:
        raise ValueError(f"{name!r} is neither a FOCUS text column nor Tags.<key> nor Catalogue.<what>")
    column = _snake(name)
    return lambda facts: facts.columns.get(column)


# ---------------------------------------------------------------- conditions


def _always(_: Facts) -> bool:
    return True


def condition(when: Any) -> Condition:
    """A test from its YAML form; raises ValueError saying what is wrong.

    A mapping holds if all of its entries do: `all`, `any`, `not`, or a column with a value, a list or an operator.
    """
    if when is None:
        return _always
    if not isinstance(when, dict) or not when:
        raise ValueError(f"a condition is a mapping, not {when!r}")
    tests = [_entry(str(name), value) for name, value in when.items()]
    return tests[0] if len(tests) == 1 else lambda facts: all(test(facts) for test in tests)


def _entry(name: str, value: Any) -> Condition:
    if name in ("all", "any"):
        if not isinstance(value, list) or not value:
            raise ValueError(f"`{name}` needs a list of conditions")
        tests = [condition(item) for item in value]
        if name == "all":
            return lambda facts: all(test(facts) for test in tests)
        return lambda facts: any(test(facts) for test in tests)
    if name == "not":
        test = condition(value)
        return lambda facts: not test(facts)
    return _comparison(reader(name), value)


def _comparison(read: Reader, value: Any) -> Condition:
    if isinstance(value, list):
        value = {"in": value}
    if not isinstance(value, dict):
        value = {"equals": value}
    tests = [_operator(read, str(name), operand) for name, operand in value.items()]
    if not tests:
        raise ValueError(f"an operator is missing; there are {', '.join(OPERATORS)}")
    return lambda facts: all(test(facts) for test in tests)


def _words(name: str, operand: Any) -> tuple[str, ...]:
    words = operand if isinstance(operand, list) else [operand]
    if not words or not all(isinstance(word, str | int) and not isinstance(word, bool) for word in words):
        raise ValueError(f"`{name}` needs text or a list of texts, not {operand!r}")
    return tuple(str(word) for word in words)


def _operator(read: Reader, name: str, operand: Any) -> Condition:
    if name == "missing":
        if not isinstance(operand, bool):
            raise ValueError(f"`missing` is true or false, not {operand!r}")
        return lambda facts: (read(facts) is None) is operand
    if name not in OPERATORS:
        raise ValueError(f"there is no operator {name!r}; there are {', '.join(OPERATORS)}")
    words = _words(name, operand)
    if name in ("equals", "in"):
        chosen = frozenset(words)
        return lambda facts: read(facts) in chosen
    if name == "prefix":
        return lambda facts: (text := read(facts)) is not None and text.startswith(words)
    if name == "contains":
        parts = tuple(word.casefold() for word in words)
        return lambda facts: (text := read(facts)) is not None and any(part in text.casefold() for part in parts)
    pattern = _pattern(words[0])
    return lambda facts: (text := read(facts)) is not None and pattern.search(text) is not None


def _pattern(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise ValueError(f"{text!r} is no RE2 pattern: {(error.args[0] if error.args else b'').decode()}") from None


# ---------------------------------------------------------------- who pays


@dataclass(frozen=True)
class Owner:
    """Targets as text, as the rule or the row names them; `rung` is the evidence (4 named or tagged, 5 inferred)."""

    team: str | None = None
    feature: str | None = None
    product: str | None = None
    environment: str | None = None
    customer: str | None = None
    phase: str | None = None
    rung: int = 4


ValueSource = Callable[[Facts], tuple[str | None, int]]  # value and rung


def _value_source(name: str, spec: Any) -> ValueSource:
    """A field of the target: text, `{inferred: text}`, `{tag: key or keys}`, `{column: .., map: {..}}` or `{column: ..,
    pattern: (..)}`."""
    if isinstance(spec, str | int) and not isinstance(spec, bool):
        return lambda _: (str(spec), 4)
    if not isinstance(spec, dict):
        raise ValueError(f"target {name} is text, a tag, a map or a pattern, not {spec!r}")
    if set(spec) == {"inferred"}:  # an accepted suggestion: a named owner on the rung of a guess
        return lambda _: (str(spec["inferred"]), 5)
    if set(spec) == {"tag"}:
        keys = tuple(normal_name(word) for word in _words("tag", spec["tag"]))
        return lambda facts: (next((facts.tags[key] for key in keys if key in facts.tags), None), 4)
    if set(spec) == {"column", "map"} and isinstance(spec["map"], dict):
        read, values = reader(str(spec["column"])), {str(key): str(value) for key, value in spec["map"].items()}
        return lambda facts: (values.get(read(facts) or ""), 4)
    if set(spec) == {"column", "pattern"}:
        read, pattern = reader(str(spec["column"])), _pattern(str(spec["pattern"]))
        if pattern.groups != 1:
            raise ValueError(f"target {name}: the pattern needs one group, which is the {name}")
        return lambda facts: (found.group(1) if (found := pattern.search(read(facts) or "")) else None, 5)
    raise ValueError(f"target {name} is text, a tag, a map or a pattern, not {spec!r}")


OwnerReader = Callable[[Facts], Owner]


def _owner_reader(spec: Any) -> OwnerReader:
    if not isinstance(spec, dict):
        raise ValueError(f"a target is a mapping of {', '.join(TARGET_FIELDS)}, not {spec!r}")
    unknown = sorted(set(map(str, spec)) - set(TARGET_FIELDS))
    if unknown:
        raise ValueError(f"a target has no {', '.join(unknown)}; it has {', '.join(TARGET_FIELDS)}")
    sources = [(name, _value_source(name, value)) for name, value in spec.items()]

    def read(facts: Facts) -> Owner:
        found = {name: source(facts) for name, source in sources}
        values: dict[str, Any] = {name: value for name, (value, _) in found.items()}
        return Owner(**values, rung=found["team"][1] if "team" in found else 4)

    return read


# ---------------------------------------------------------------- documents


@dataclass(frozen=True)
class Rule:
    """One entry of `rules`. `target` is who pays under direct; `owner` who gets what no trace explains."""

    name: str
    method: str
    matches: Condition = field(compare=False)
    target: OwnerReader = field(compare=False)
    owner: OwnerReader = field(compare=False)
    reason: str | None = None  # method unallocated: why
    kind: str | None = None  # charge kind, where the method's own does not say it
    valid_from: date | None = None  # first month
    valid_to: date | None = None  # month after the last
    note: str = ""

    def is_valid_in(self, month: date) -> bool:
        return (self.valid_from is None or self.valid_from <= month) and (
            self.valid_to is None or month < self.valid_to
        )


@dataclass(frozen=True)
class ScopeRule:
    name: str
    scope: str
    matches: Condition = field(compare=False)


@dataclass(frozen=True)
class Rules:
    """A whole document: first match wins in both lists."""

    scopes: tuple[ScopeRule, ...]
    rules: tuple[Rule, ...]

    def scope_of(self, facts: Facts) -> str:
        return next((entry.scope for entry in self.scopes if entry.matches(facts)), "other")

    def rule_for(self, facts: Facts, *, month: date) -> Rule | None:
        return next((rule for rule in self.rules if rule.is_valid_in(month) and rule.matches(facts)), None)


RULE_KEYS = {"name", "when", "method", "target", "owner", "reason", "kind", "valid_from", "valid_to", "note"}
KINDS = ("direct", "shared", "idle", "adjustment", "tax", "credit", "commitment_unused")


def parse_rules(text: str) -> Rules:
    """The rules of a YAML document; raises RuleError with every problem found, not only the first."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RuleError([f"the rules are no YAML: {error}"]) from None
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise RuleError(["the rules need a list named `rules`"])
    unknown = sorted(set(map(str, document)) - {"version", "scope", "rules"})
    problems = [f"there is no section {name!r}; there are version, scope and rules" for name in unknown]
    scopes = _entries(document.get("scope") or [], "scope", _scope_rule, problems)
    rules = _entries(document["rules"], "rule", _rule, problems)
    names = [rule.name for rule in rules]
    problems += [f"rule {name!r} stands twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if problems:
        raise RuleError(problems)
    return Rules(scopes=tuple(scopes), rules=tuple(rules))


def _entries(items: Any, what: str, make: Callable[[dict[str, Any]], Any], problems: list[str]) -> list[Any]:
    made: list[Any] = []
    if not isinstance(items, list):
        problems.append(f"`{what}` needs a list")
        return made
    for number, item in enumerate(items, 1):
        name = item.get("name") if isinstance(item, dict) else None
        where = f"{what} {number}" + (f" ({name})" if name else "")
        try:
            if not isinstance(item, dict) or not isinstance(name, str) or not name.strip():
                raise ValueError("it needs a name")
            made.append(make(item))
        except ValueError as error:
            problems.append(f"{where}: {error}")
    return made


def _scope_rule(item: dict[str, Any]) -> ScopeRule:
    if unknown := sorted(set(item) - {"name", "when", "scope"}):
        raise ValueError(f"there is no {', '.join(unknown)}; a scope entry has name, when, scope")
    if item.get("scope") not in AI_SCOPES:
        raise ValueError(f"scope is one of {', '.join(AI_SCOPES)}, not {item.get('scope')!r}")
    return ScopeRule(name=item["name"], scope=item["scope"], matches=condition(item.get("when")))


def _month(item: dict[str, Any], key: str) -> date | None:
    if key not in item:
        return None
    value = item[key]
    try:
        return Period.parse(value if isinstance(value, str) else f"{value:%Y-%m}").start
    except (BadPeriod, TypeError, ValueError):
        raise ValueError(f"{key} is a month such as 2026-10, not {value!r}") from None


def _rule(item: dict[str, Any]) -> Rule:
    if unknown := sorted(set(map(str, item)) - RULE_KEYS):
        raise ValueError(f"there is no {', '.join(unknown)}; a rule has {', '.join(sorted(RULE_KEYS))}")
    method = item.get("method")
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, not {method!r}")
    if method == "direct" and "team" not in (item.get("target") or {}):
        raise ValueError("method direct needs a target with a team")
    if item.get("kind") is not None and item["kind"] not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {item['kind']!r}")
    valid_from, valid_to = _month(item, "valid_from"), _month(item, "valid_to")
    if valid_from and valid_to and valid_to <= valid_from:
        raise ValueError("valid_to is the month after the last, so later than valid_from")
    return Rule(
        name=item["name"].strip(),
        method=method,
        matches=condition(item.get("when")),
        target=_owner_reader(item.get("target") or {}),
        owner=_owner_reader(item.get("owner") or {}),
        reason=item.get("reason"),
        kind=item.get("kind"),
        valid_from=valid_from,
        valid_to=valid_to,
        note=str(item.get("note") or ""),
    )
