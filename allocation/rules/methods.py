"""How a rule or a pool divides what it takes: from YAML to frozen values. Pure.

`Split` is what `fixed`, `even` and `proportional` have in common: who shares, by which driver, over
which time and within which bounds. A member may be a pool: a cost that several rules fill and that
is split again, for example a shared platform whose teams pay by requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from allocation.catalogue.canonical import OUTPUT_SIDE, TOKEN_COLUMNS
from allocation.organisation.targets import TARGET_FIELDS, Owner
from allocation.rules.operands import number_of, words_of
from allocation.values.names import quoted

DIRECT, TRACED, PROVIDER, GPU = "direct", "traced_usage", "provider_usage", "gpu_usage"
CAPACITY = "capacity"
PROPORTIONAL, EVEN, FIXED, FOLLOW, NONE = "proportional", "even", "fixed", "follow", "unallocated"
BY_USAGE = (TRACED, PROVIDER, CAPACITY)
METHODS = (DIRECT, TRACED, PROVIDER, CAPACITY, GPU, PROPORTIONAL, EVEN, FIXED, FOLLOW, NONE)
SPLITS = (PROPORTIONAL, EVEN, FIXED)

# Drivers of `proportional`: what each counts.
COST, SERIES, SEATS, GPU_SECONDS, REQUESTS = "cost", "series", "seats", "gpu_seconds", "requests"
TOKEN_DRIVERS = ("tokens", "input_tokens", "output_tokens", "cached_tokens")
DRIVERS = (COST, REQUESTS, *TOKEN_DRIVERS, GPU_SECONDS, SEATS, SERIES)
MONTHLY = (COST, SEATS)  # by the month unless told otherwise, and cost never by the day
LEVELS = ("team", "feature")
EVERY_TEAM = "teams"
USAGE_FIELDS = ("provider", "project", "model")

WHOLE = Fraction(100)


@dataclass(frozen=True)
class UsageOptions:
    """How a rule joins usage where it does not do the usual."""

    pool_cache_writes: bool = False  # writing to a cache is paid by who reads from it
    by_month: bool = False  # every day by the month's usage: one blended price for all
    by_region: bool = False  # by region and inference profile


USUAL = UsageOptions()


def parse_usage_options(item: Mapping[str, Any]) -> UsageOptions:
    """The options of a rule by usage; raises ValueError saying what is wrong."""
    weights = item.get("weights", "day")
    if weights not in ("day", "month"):
        raise ValueError(f"weights are those of the day or of the month, not {quoted(weights)}")
    for name in ("pool_cache_writes", "by_region"):
        if not isinstance(item.get(name, False), bool):
            raise ValueError(f"`{name}` is true or false, not {quoted(item[name])}")
    return UsageOptions(
        item.get("pool_cache_writes", False), weights == "month", item.get("by_region", False)
    )


@dataclass(frozen=True)
class Member:
    """One of those who share: an owner as text, or a pool. `share` is a percentage, under `fixed`
    only.
    """

    owner: Owner
    pool: str | None = None
    share: Fraction | None = None


@dataclass(frozen=True)
class Split:
    """Who shares, and by what. Percentages are exact; `text` is the split as written, for people
    and for identity.
    """

    method: str
    text: str = ""
    members: tuple[Member, ...] = ()  # nobody named: everyone the driver knows, or every team
    every_team: bool = False
    driver: str | None = None
    series: str | None = None
    of_rules: tuple[
        str, ...
    ] = ()  # driver cost: rules whose outcome counts; none named: all that need no other cost
    usage: tuple[
        tuple[str, str], ...
    ] = ()  # requests and tokens: only calls of this provider, project or model
    level: str = "feature"
    by_day: bool = True
    min_share: Fraction | None = None
    max_share: Fraction | None = None

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(member.pool for member in self.members if member.pool is not None)


def parse_split(method: str, item: Mapping[str, Any]) -> Split:
    """The split of a rule or pool; raises ValueError saying what is wrong. `item` may hold keys of
    the rule, too.
    """
    own = {key: item[key] for key in SPLIT_KEYS[method] if key in item}
    split = _read(method, own)
    return replace(
        split, text=json.dumps({"method": method, **own}, ensure_ascii=False, sort_keys=True)
    )


def _read(method: str, own: Mapping[str, Any]) -> Split:
    bounds = {name: _percent(name, own[name]) for name in ("min_share", "max_share") if name in own}
    least, most = bounds.get("min_share"), bounds.get("max_share")
    if least is not None and most is not None and least > most:
        raise ValueError(f"min_share {least} is above max_share {most}")
    if method == FIXED:
        return Split(FIXED, members=_fixed(own.get("shares")))
    every_team, members = _among(own.get("among"))
    _check_minimum(least, members)
    if method == EVEN:
        if not members and not every_team:
            raise ValueError(
                "method even needs `among`: a list of who shares, or `teams` for every team"
            )
        return Split(EVEN, members=members, every_team=every_team)
    return _proportional(own, members, every_team, least, most)


SPLIT_KEYS: dict[str, tuple[str, ...]] = {
    FIXED: ("shares",),
    EVEN: ("among",),
    PROPORTIONAL: (
        "by",
        "series",
        "of_rules",
        "usage",
        "among",
        "level",
        "weights",
        "min_share",
        "max_share",
    ),
}


def _proportional(
    own: Mapping[str, Any],
    members: tuple[Member, ...],
    every_team: bool,
    least: Fraction | None,
    most: Fraction | None,
) -> Split:
    driver = own.get("by")
    if driver not in DRIVERS:
        raise ValueError(f"`by` is one of {', '.join(DRIVERS)}, not {quoted(driver)}")
    series = SEATS if driver == SEATS else own.get("series")
    if driver == SERIES and not isinstance(series, str):
        raise ValueError("by series needs `series`, the name of an uploaded one")
    if own.get("series") is not None and driver != SERIES:
        raise ValueError(f"`series` goes with `by: series`, not with `by: {driver}`")
    if "of_rules" in own and driver != COST:
        raise ValueError(f"`of_rules` goes with `by: cost`, not with `by: {driver}`")
    level = own.get("level", "feature")
    if level not in LEVELS:
        raise ValueError(f"level is one of {', '.join(LEVELS)}, not {quoted(level)}")
    weights = own.get("weights", "month" if driver in MONTHLY else "day")
    if weights not in ("day", "month"):
        raise ValueError(f"weights are those of the day or of the month, not {quoted(weights)}")
    if driver == COST and weights == "day":
        raise ValueError("weights by cost are those of the month")
    if any(member.pool for member in members):
        raise ValueError("a pool has no driver of its own; name pools under `fixed` or `even`")
    return Split(
        PROPORTIONAL,
        members=members,
        every_team=every_team,
        driver=driver,
        series=series,
        of_rules=words_of("of_rules", own["of_rules"]) if "of_rules" in own else (),
        usage=_usage(own.get("usage"), driver),
        level=level,
        by_day=weights == "day",
        min_share=least,
        max_share=most,
    )


def _usage(spec: Any, driver: str) -> tuple[tuple[str, str], ...]:
    if spec is None:
        return ()
    if driver != REQUESTS and driver not in TOKEN_DRIVERS:
        raise ValueError(f"`usage` goes with requests and tokens, not with `by: {driver}`")
    if not isinstance(spec, dict) or not spec or set(spec) - set(USAGE_FIELDS):
        raise ValueError(f"`usage` is a mapping of {', '.join(USAGE_FIELDS)}, not {quoted(spec)}")
    return tuple(sorted((str(name), name_of(str(name), value)) for name, value in spec.items()))


def _fixed(spec: Any) -> tuple[Member, ...]:
    if not isinstance(spec, list) or not spec:
        raise ValueError("method fixed needs `shares`: a list of a target and its share in percent")
    members = []
    for item in spec:
        if not isinstance(item, dict) or "share" not in item:
            raise ValueError(f"each of `shares` is a target with a share, not {quoted(item)}")
        rest = {key: value for key, value in item.items() if key != "share"}
        members.append(_member(rest, _percent("share", item["share"])))
    total = sum((member.share or Fraction(0) for member in members), Fraction(0))
    if total != WHOLE:
        raise ValueError(f"the shares add up to {percent_text(total)}%, not 100%")
    return _distinct(tuple(members))


def _among(spec: Any) -> tuple[bool, tuple[Member, ...]]:
    if spec is None:
        return False, ()
    if spec == EVERY_TEAM:
        return True, ()
    if not isinstance(spec, list) or not spec:
        raise ValueError(f"`among` is `{EVERY_TEAM}` or a list of targets, not {quoted(spec)}")
    return False, _distinct(tuple(_member(item, None) for item in spec))


def _distinct(members: tuple[Member, ...]) -> tuple[Member, ...]:
    names = [(member.owner, member.pool) for member in members]
    for member, name in zip(members, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(f"{member.pool or member.owner.team} shares twice")
    return members


def _member(item: Any, share: Fraction | None) -> Member:
    if not isinstance(item, dict) or not item:
        raise ValueError(f"who shares is a mapping with a team or a pool, not {quoted(item)}")
    if set(item) == {"pool"}:
        return Member(Owner(), pool=name_of("pool", item["pool"]), share=share)
    if unknown := sorted(set(map(str, item)) - set(TARGET_FIELDS)):
        raise ValueError(
            f"a target has no {', '.join(unknown)}; it has {', '.join(TARGET_FIELDS)}, or a pool "
            "alone"
        )
    if not any(item.get(name) for name in ("team", "feature")):
        raise ValueError(f"who shares needs a team, a feature or a pool: {quoted(item)}")
    values: dict[str, Any] = {str(key): name_of(str(key), value) for key, value in item.items()}
    return Member(Owner(**values), share=share)


def name_of(what: str, value: Any) -> str:
    """One name as text; raises ValueError for anything else."""
    if isinstance(value, list):
        raise ValueError(f"`{what}` is one name, not {quoted(value)}")
    return words_of(what, value)[0]


def _percent(name: str, value: Any) -> Fraction:
    number = number_of(str(value))
    if number is None or not 0 <= number <= 100:
        raise ValueError(f"`{name}` is a percentage from 0 to 100, not {quoted(value)}")
    return Fraction(number)


def _check_minimum(least: Fraction | None, members: tuple[Member, ...]) -> None:
    if least is not None and members and least * len(members) > WHOLE:
        raise ValueError(
            f"a minimum of {percent_text(least)}% for each of {len(members)} is more than 100%"
        )


def percent_text(share: Fraction) -> str:
    """A percentage for people, to six digits."""
    return f"{float(share):.6g}"


CACHED = TOKEN_COLUMNS.index("cache_read")


WEIGHT_NAMES = ("input", "output", "cached")


LARGEST_WEIGHT = 1_000_000


PLACES = 6  # of a weight


@dataclass(frozen=True)
class Capacity:
    """How much one token of each column takes, in millionths, and the weighted tokens that one
    billed unit can serve (None: not known).
    """

    weights: tuple[int, ...]  # as TOKEN_COLUMNS
    tokens_per_unit: Fraction | None
    text: tuple[tuple[str, str], ...]  # as written, for people


def parse_capacity(item: Mapping[str, Any]) -> Capacity:
    """The options of a `capacity` rule; raises ValueError saying what is wrong."""
    told = item.get("weights")
    if not isinstance(told, dict) or not {"input", "output"} <= set(told) <= set(WEIGHT_NAMES):
        raise ValueError(
            f"method capacity needs `weights`: a mapping of {', '.join(WEIGHT_NAMES)}"
            " (cached: as input)"
        )
    weights = {name: _weight(name, value) for name, value in told.items()}
    if not any(weights.values()):
        raise ValueError("`weights` are all zero: no call would take any capacity")
    cached = weights.get("cached", weights["input"])
    per_unit = number_of(str(item["tokens_per_unit"])) if "tokens_per_unit" in item else None
    if "tokens_per_unit" in item and (per_unit is None or per_unit <= 0):
        raise ValueError(
            f"`tokens_per_unit` is a number above zero, not {quoted(item['tokens_per_unit'])}"
        )
    return Capacity(
        weights=tuple(
            cached if n == CACHED else weights["output"] if n in OUTPUT_SIDE else weights["input"]
            for n in range(len(TOKEN_COLUMNS))
        ),
        tokens_per_unit=None if per_unit is None else Fraction(per_unit),
        text=(
            *((name, str(told[name])) for name in WEIGHT_NAMES if name in told),
            *((("tokens_per_unit", str(item["tokens_per_unit"])),) if per_unit is not None else ()),
        ),
    )


def _weight(name: str, value: Any) -> int:
    number = None if isinstance(value, bool) else number_of(str(value))
    millionths = None if number is None else Fraction(number) * 10**PLACES
    if (
        millionths is None
        or millionths.denominator != 1
        or not 0 <= millionths <= LARGEST_WEIGHT * 10**PLACES
    ):
        raise ValueError(
            f"weight {name} is a number from 0 to {LARGEST_WEIGHT} of {PLACES} places,"
            f" not {quoted(value)}"
        )
    return int(millionths)
