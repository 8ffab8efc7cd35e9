"""Allocation rules: a YAML document as frozen values, and the first rule that takes a charge. Pure.

A document has three ordered lists: `scope` says whether a charge is AI spend, `phase` whether it
builds, runs or moves something, `rules` who pays; in each the first entry whose `when` holds
decides. `pools` are shared costs that rules fill and that are split again. docs/rules.md shows the
language; every error names the entry and what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from itertools import chain
from typing import Any

from allocation.rules.conditions import (
    Condition,
    Facts,
    Need,
    OwnerReader,
    Reader,
    RowTest,
    condition,
    need_of,
    owner_reader,
    reader,
    row_tests,
)
from allocation.rules.methods import (
    CAPACITY,
    COST,
    DIRECT,
    FOLLOW,
    GPU,
    METHODS,
    NONE,
    PROVIDER,
    SPLIT_KEYS,
    SPLITS,
    TRACED,
    USUAL,
    Capacity,
    Split,
    UsageOptions,
    name_of,
    parse_capacity,
    parse_split,
    parse_usage_options,
)
from allocation.rules.operands import words_of
from allocation.rules.text import BadText, meaning
from allocation.values.names import quoted
from allocation.values.periods import BadPeriod, Period

AI_SCOPES = ("ai", "ai_supporting", "other")
PHASES = ("build", "run", "move")
SECTIONS = ("version", "scope", "phase", "rules", "pools", "agents")
RELATED, COMMITMENT = "related", "commitment"
FOLLOWED = (RELATED, COMMITMENT)
EFFECTIVE_COST, LIST_COST = "effective_cost", "list_cost"
CALLER, CALLEE = "caller", "callee"


class RuleError(ValueError):
    """The rules cannot be used; `problems` names each entry and what is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Rule:
    """One entry of `rules`. `target` is who pays under direct; `owner` who gets what no trace
    explains.
    """

    name: str
    method: str
    matches: Condition = field(compare=False)
    target: OwnerReader = field(compare=False)
    owner: OwnerReader = field(compare=False)
    split: Split | None = None  # fixed, even, proportional
    pool: str | None = None  # direct: into this pool
    follows: str = RELATED  # follow: what
    by_list_cost: bool = False  # follow: in proportion to list cost instead of effective cost
    of_rules: tuple[str, ...] = ()  # follow: only what these rules took; none named: all
    usage: UsageOptions = USUAL  # traced and provider usage
    capacity: Capacity | None = None
    reason: str | None = None  # method unallocated: why
    kind: str | None = None  # charge kind, where the method's own does not say it
    valid_from: date | None = None  # first month
    valid_to: date | None = None  # month after the last
    note: str = ""
    row_tests: frozenset[RowTest] = frozenset()
    need: Need | None = None  # what `matches` cannot hold without

    @property
    def pools(self) -> tuple[str, ...]:
        """The pools that the rule fills itself."""
        return self.split.pools if self.split else (self.pool,) if self.pool else ()

    def is_valid_in(self, month: date) -> bool:
        return (self.valid_from is None or self.valid_from <= month) and (
            self.valid_to is None or month < self.valid_to
        )


@dataclass(frozen=True)
class LabelRule:
    """One entry of `scope` or `phase`: what charges are called that it takes."""

    name: str
    label: str
    matches: Condition = field(compare=False)
    row_tests: frozenset[RowTest] = frozenset()


class RuleIndex:
    """Rules by what they need, so that a charge is asked only of those that may take it, in their
    order.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.always: list[int] = []
        self.by_test: dict[RowTest, list[int]] = {}
        self.by_text: dict[str, tuple[Reader, dict[str, list[int]]]] = {}
        for number, rule in enumerate(rules):
            need = rule.need
            if need is None:
                self.always.append(number)
            elif need.test:
                self.by_test.setdefault(need.test, []).append(number)
            else:
                _, numbers = self.by_text.setdefault(need.column, (reader(need.column), {}))
                for text in need.texts:
                    numbers.setdefault(text, []).append(number)

    def candidates(self, facts: Facts) -> Iterator[Rule]:
        found = self.always.copy()
        for test in facts.passed:
            found += self.by_test.get(test, ())
        for read, numbers in self.by_text.values():
            if (text := read(facts)) is not None:
                found += numbers.get(text, ())
        found.sort()
        return map(self.rules.__getitem__, found)


@dataclass(frozen=True)
class Rules:
    """A whole document: first match wins in each list.

    `stages` orders what depends on other cost: stage 0 needs none, a rule of stage n only cost of
    earlier stages. Rules that follow are not in it; they come after all others.
    """

    scopes: tuple[LabelRule, ...]
    rules: tuple[Rule, ...]
    phases: tuple[LabelRule, ...] = ()
    pools: Mapping[str, Split] = field(default_factory=dict)
    stages: Mapping[str, int] = field(default_factory=dict)
    agents: str = CALLER  # who pays for calls that one team's agent serves for another's feature

    @cached_property
    def has_commitment_followers(self) -> bool:
        """Only then does it matter which commitment a charge uses."""
        return any(rule.follows == COMMITMENT for rule in self.rules)

    @property
    def entries(self) -> tuple[Rule | LabelRule, ...]:
        return (*self.scopes, *self.phases, *self.rules)

    @property
    def row_tests(self) -> tuple[RowTest, ...]:
        """Every test of single rows, in a fixed order."""
        return tuple(sorted(set(chain.from_iterable(entry.row_tests for entry in self.entries))))

    def scope_of(self, facts: Facts) -> str:
        return next((entry.label for entry in self.scopes if entry.matches(facts)), "other")

    def phase_of(self, facts: Facts) -> str | None:
        """What AI spend is for; None where no entry says it."""
        return next((entry.label for entry in self.phases if entry.matches(facts)), None)

    def rule_for(self, facts: Facts, *, month: date) -> Rule | None:
        candidates = self._index.candidates(facts)
        return next(
            (rule for rule in candidates if rule.is_valid_in(month) and rule.matches(facts)), None
        )

    @cached_property
    def _index(self) -> RuleIndex:
        return RuleIndex(self.rules)


COMMON_KEYS = {"name", "when", "method", "kind", "valid_from", "valid_to", "note"}
METHOD_KEYS: dict[str, frozenset[str]] = {
    **{method: frozenset(SPLIT_KEYS[method]) for method in SPLITS},
    DIRECT: frozenset({"target"}),
    TRACED: frozenset({"owner", "pool_cache_writes", "weights", "by_region"}),
    PROVIDER: frozenset({"owner", "pool_cache_writes", "weights"}),
    CAPACITY: frozenset({"owner", "weights", "tokens_per_unit"}),
    GPU: frozenset({"owner"}),
    FOLLOW: frozenset({"follows", "by", "of_rules", "owner"}),
    NONE: frozenset({"reason"}),
}
KINDS = ("direct", "shared", "idle", "adjustment", "tax", "credit", "commitment_unused")


def parse_rules(text: str) -> Rules:
    """The rules of a YAML document; raises RuleError with every problem found, not only the
    first.
    """
    try:
        document = meaning(text)
    except BadText as bad:
        raise RuleError([f"the rules are no YAML: {bad}"]) from None
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise RuleError(["the rules need a list named `rules`"])
    unknown = sorted(set(map(str, document)) - set(SECTIONS))
    known = f"{', '.join(SECTIONS[:-1])} and {SECTIONS[-1]}"
    problems = [f"there is no section {quoted(name)}; there are {known}" for name in unknown]
    agents = document.get("agents", CALLER)
    if agents not in (CALLER, CALLEE):
        problems.append(
            f"`agents` says who pays for a call between teams, {CALLER} or {CALLEE}, not "
            f"{quoted(agents)}"
        )
    scopes, phases = (
        _entries(document.get(what) or [], what, partial(_label_rule, what, labels), problems)
        for what, labels in (("scope", AI_SCOPES), ("phase", PHASES))
    )
    rules = _entries(document["rules"], "rule", _rule, problems)
    pools = dict(_entries(document.get("pools") or [], "pool", _pool, problems))
    problems += [*_named_twice(rules), *_unknown_names(rules, pools)]
    if problems:
        raise RuleError(problems)
    stages = stages_of(rules, pools)
    return Rules(
        scopes=tuple(scopes),
        rules=tuple(rules),
        phases=tuple(phases),
        pools=pools,
        stages=stages,
        agents=agents,
    )


def _named_twice(rules: list[Rule]) -> list[str]:
    """A name may stand again for other months: the same rule, changed."""
    problems = []
    for number, rule in enumerate(rules):
        for other in rules[:number]:
            if other.name == rule.name and _overlap(rule, other):
                problems.append(f"rule {quoted(rule.name)} stands twice for the same months")
    return problems


def _overlap(rule: Rule, other: Rule) -> bool:
    starts_in_time = (
        rule.valid_from is None or other.valid_to is None or rule.valid_from < other.valid_to
    )
    return starts_in_time and (
        other.valid_from is None or rule.valid_to is None or other.valid_from < rule.valid_to
    )


def _unknown_names(rules: list[Rule], pools: Mapping[str, Split]) -> list[str]:
    names = {rule.name for rule in rules if rule.method != FOLLOW}
    followers = {rule.name for rule in rules if rule.method == FOLLOW}
    problems = []
    wholes = [(f"rule {quoted(rule.name)}", rule.pools, rule.split) for rule in rules]
    wholes += [(f"pool {quoted(name)}", split.pools, split) for name, split in pools.items()]
    for what, filled, split in wholes:
        problems += [
            f"{what}: there is no pool {quoted(pool)}" for pool in filled if pool not in pools
        ]
        for other in split.of_rules if split else ():
            if other in followers:
                problems.append(
                    f"{what}: {quoted(other)} follows other cost, so no cost can follow it"
                )
            elif other not in names:
                problems.append(f"{what}: there is no rule {quoted(other)}")
    for rule in rules:
        for other in rule.of_rules:
            if other not in names:
                problems.append(
                    f"rule {quoted(rule.name)}: there is no rule {quoted(other)} that it could "
                    "follow"
                )
    return problems


def _entries(
    items: Any, what: str, make: Callable[[dict[str, Any]], Any], problems: list[str]
) -> list[Any]:
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


def _label_rule(what: str, labels: Sequence[str], item: dict[str, Any]) -> LabelRule:
    if unknown := sorted(set(map(str, item)) - {"name", "when", what}):
        raise ValueError(f"there is no {', '.join(unknown)}; a {what} entry has name, when, {what}")
    if item.get(what) not in labels:
        raise ValueError(f"{what} is one of {', '.join(labels)}, not {quoted(item.get(what))}")
    when = item.get("when")
    return LabelRule(
        name=item["name"], label=item[what], matches=condition(when), row_tests=row_tests(when)
    )


def _pool(item: dict[str, Any]) -> tuple[str, Split]:
    method = item.get("method")
    if method not in SPLITS:
        raise ValueError(f"a pool is split by {', '.join(SPLITS)}, not by {quoted(method)}")
    if unknown := sorted(set(map(str, item)) - {"name", "method", "note", *SPLIT_KEYS[method]}):
        raise ValueError(f"there is no {', '.join(unknown)} in a pool split by {method}")
    return item["name"].strip(), parse_split(method, item)


def _month(item: dict[str, Any], key: str) -> date | None:
    if key not in item:
        return None
    value = item[key]
    try:
        return Period.parse(value if isinstance(value, str) else f"{value:%Y-%m}").start
    except (BadPeriod, TypeError, ValueError):
        raise ValueError(f"{key} is a month such as 2026-10, not {quoted(value)}") from None


def _rule(item: dict[str, Any]) -> Rule:
    method = item.get("method")
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, not {quoted(method)}")
    allowed = COMMON_KEYS | METHOD_KEYS[method]
    if unknown := sorted(set(map(str, item)) - allowed):
        raise ValueError(
            f"there is no {', '.join(unknown)}; a {method} rule has {', '.join(sorted(allowed))}"
        )
    if item.get("kind") is not None and item["kind"] not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {quoted(item['kind'])}")
    follows = item.get("follows", RELATED)
    if follows not in FOLLOWED:
        raise ValueError(f"follows is one of {', '.join(FOLLOWED)}, not {quoted(follows)}")
    by = item.get("by", EFFECTIVE_COST) if method == FOLLOW else EFFECTIVE_COST
    if by not in (EFFECTIVE_COST, LIST_COST):
        raise ValueError(f"`by` is {EFFECTIVE_COST} or {LIST_COST}, not {quoted(by)}")
    valid_from, valid_to = _month(item, "valid_from"), _month(item, "valid_to")
    if valid_from and valid_to and valid_to <= valid_from:
        raise ValueError("valid_to is the month after the last, so later than valid_from")
    target, pool = _target(method, item.get("target"))
    return Rule(
        name=item["name"].strip(),
        method=method,
        matches=condition(item.get("when")),
        target=target,
        owner=owner_reader(item.get("owner") or {}),
        split=parse_split(method, item) if method in SPLITS else None,
        pool=pool,
        follows=follows,
        by_list_cost=by == LIST_COST,
        of_rules=words_of("of_rules", item["of_rules"])
        if method == FOLLOW and "of_rules" in item
        else (),
        usage=parse_usage_options(item) if method in (TRACED, PROVIDER) else USUAL,
        capacity=parse_capacity(item) if method == CAPACITY else None,
        reason=str(item["reason"]) if item.get("reason") is not None else None,
        kind=item.get("kind"),
        valid_from=valid_from,
        valid_to=valid_to,
        note=str(item.get("note") or ""),
        row_tests=row_tests(item.get("when")),
        need=need_of(item.get("when")),
    )


def _target(method: str, spec: Any) -> tuple[OwnerReader, str | None]:
    """Whom a direct rule names: an owner, or a pool alone."""
    if method != DIRECT:
        return owner_reader({}), None
    if isinstance(spec, dict) and set(spec) == {"pool"}:
        return owner_reader({}), name_of("pool", spec["pool"])
    if not isinstance(spec, dict) or "team" not in spec:
        raise ValueError("method direct needs a target with a team, or a pool alone")
    return owner_reader(spec), None


# ---------------------------------------------------------------- order


def stages_of(rules: Sequence[Rule], pools: Mapping[str, Split]) -> dict[str, int]:
    """The stage of each rule that does not follow; raises RuleError naming a circle of pools or of
    cost drivers.
    """
    by_name: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.method != FOLLOW:
            by_name.setdefault(rule.name, []).append(rule)
    known: dict[tuple[str, str], int] = {}

    def stage(kind: str, name: str, path: tuple[tuple[str, str], ...]) -> int:
        node = (kind, name)
        if node in path:
            circle = [*path[path.index(node) :], node]
            raise RuleError(
                ["the order is a circle: " + " > ".join(f"{kind} {name}" for kind, name in circle)]
            )
        if node not in known:
            splits = (
                [pools[name]]
                if kind == "pool"
                else [rule.split for rule in by_name[name] if rule.split]
            )
            filled = (
                pools[name].pools
                if kind == "pool"
                else [pool for rule in by_name[name] for pool in rule.pools]
            )
            below = [stage("pool", pool, (*path, node)) for pool in filled]
            for split in splits:
                if split.driver == COST:
                    below.append(
                        1
                        + max(
                            (stage("rule", rule, (*path, node)) for rule in split.of_rules),
                            default=0,
                        )
                    )
            known[node] = max(below, default=0)
        return known[node]

    for name in pools:
        stage("pool", name, ())
    return {name: stage("rule", name, ()) for name in by_name}
