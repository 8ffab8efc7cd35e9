"""Who a rule names as paying: texts, or what reads them off the charge. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allocation.organisation.owners import INFERRED, NAMED, TARGET_FIELDS, Owner
from allocation.rules.conditions import Facts, pattern_of, reader, words_of
from allocation.values.names import normal_name, quoted

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
            next((facts.tags[key] for key in keys if key in facts.tags), None),
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
