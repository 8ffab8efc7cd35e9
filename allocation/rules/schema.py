"""The rules language as JSON Schema (draft 2020-12), made from the grammar's own constants. Pure.

It says what a document may hold, for editors and other programs; what needs the whole document or
the world (shares that make 100%, circles, unknown teams) is said by `parse_rules` and
allocation.rules.checks. Published as docs/rules.schema.json and at /api/v1/rules/schema/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allocation.organisation.targets import TARGET_FIELDS
from allocation.rules.conditions import CATALOGUE_COLUMNS, COLUMNS, RANGE_OPERATORS, ROW_COLUMNS
from allocation.rules.methods import (
    CAPACITY,
    COST,
    DIRECT,
    DRIVERS,
    EVEN,
    EVERY_TEAM,
    FIXED,
    FOLLOW,
    GPU,
    LEVELS,
    NONE,
    PROPORTIONAL,
    PROVIDER,
    REQUESTS,
    SERIES,
    SPLITS,
    TOKEN_DRIVERS,
    TRACED,
    USAGE_FIELDS,
    WEIGHT_NAMES,
)
from allocation.rules.rules import (
    AI_SCOPES,
    CALLEE,
    CALLER,
    EFFECTIVE_COST,
    FOLLOWED,
    KINDS,
    LIST_COST,
    PHASES,
)

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "integer"]}
NAME: Schema = {"type": "string", "pattern": r"\S"}
# A day says its month, as YAML reads an unquoted one.
MONTH: Schema = {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])(-[0-9]{2})?$"}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Schema, *required: str, **more: Any) -> Schema:
    found: Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **more,
    }
    return found | {"required": list(required)} if required else found


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


def rules_schema() -> Schema:
    """The schema of a whole document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Apportion allocation rules",
        **_object(
            {
                "version": {"description": "of the language; 1 so far"},
                "scope": _nullable({"type": "array", "items": _ref("scope")}),
                "phase": _nullable({"type": "array", "items": _ref("phase")}),
                "rules": {"type": "array", "items": _ref("rule")},
                "pools": _nullable({"type": "array", "items": _ref("pool")}),
                "agents": {"enum": [CALLER, CALLEE]},
            },
            "rules",
        ),
        "$defs": {**_value_defs(), **_condition_defs(), **_target_defs(), **_entry_defs()},
    }


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [{"type": "null"}, schema]}


def _value_defs() -> Schema:
    number = r"^-?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
    return {
        "texts": {"anyOf": [TEXT, _list_of(TEXT)]},
        "number": {
            "description": "a plain decimal, exact where it is quoted",
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": number}],
        },
        "percent": {
            "description": "from 0 to 100",
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": r"^(100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+)$"},
            ],
        },
    }


def _condition_defs() -> Schema:
    ranges = {name: _ref("number") for name in RANGE_OPERATORS}
    missing = {"missing": {"type": "boolean"}}
    text_operators = {name: _ref("texts") for name in ("equals", "in", "prefix", "contains")}
    regex = {"regex": {**TEXT, "description": "an RE2 pattern that is found anywhere in the value"}}
    return {
        "text_test": {
            "anyOf": [
                _ref("texts"),
                _object({**text_operators, **regex, **missing, **ranges}, minProperties=1),
            ]
        },
        "number_test": {
            "anyOf": [
                _ref("number"),
                _object({"equals": _ref("number"), **missing, **ranges}, minProperties=1),
            ]
        },
        "condition": {
            "description": "holds where all of its entries do; none at all always holds",
            "type": ["object", "null"],
            "minProperties": 1,
            "properties": {
                "all": _list_of(_ref("condition")),
                "any": _list_of(_ref("condition")),
                "not": _ref("condition"),
                **{column: _ref("text_test") for column in sorted(COLUMNS)},
                **{column: _ref("number_test") for column in ROW_COLUMNS},
            },
            "patternProperties": {
                r"^(Allocated)?Tags\.": _ref("text_test"),
                rf"^Catalogue\.({'|'.join(CATALOGUE_COLUMNS)})$": _ref("text_test"),
                "^x_[A-Za-z0-9_]{1,100}$": _ref("text_test"),
            },
            "additionalProperties": False,
        },
    }


def _target_defs() -> Schema:
    columns: Schema = {
        "anyOf": [
            {"enum": sorted(COLUMNS)},
            {
                "type": "string",
                "pattern": rf"^((Allocated)?Tags\.|Catalogue\.({'|'.join(CATALOGUE_COLUMNS)})$)",
            },
        ]
    }
    pool = _object({"pool": NAME}, "pool")
    return {
        "value": {
            "description": "a text, or where it is read",
            "anyOf": [
                TEXT,
                _object({"tag": _ref("texts")}, "tag"),
                _object({"inferred": TEXT}, "inferred"),
                _object(
                    {"column": columns, "map": {"type": "object", "additionalProperties": TEXT}},
                    "column",
                    "map",
                ),
                _object({"column": columns, "pattern": {"type": "string"}}, "column", "pattern"),
            ],
        },
        "owner": _object({name: _ref("value") for name in TARGET_FIELDS}),
        "target": {
            "anyOf": [
                pool,
                {**_object({name: _ref("value") for name in TARGET_FIELDS}), "required": ["team"]},
            ]
        },
        "member": {"anyOf": [pool, _member()]},
        "share": {
            "anyOf": [
                _object({"pool": NAME, "share": _ref("percent")}, "pool", "share"),
                _member({"share": _ref("percent")}, "share"),
            ]
        },
        "among": {"anyOf": [{"const": EVERY_TEAM}, _list_of(_ref("member"))]},
    }


def _member(more: Schema | None = None, *required: str) -> Schema:
    """Who shares, by name: a team, a feature or both."""
    fields = dict.fromkeys(TARGET_FIELDS, TEXT)
    named = [{"required": ["team"]}, {"required": ["feature"]}]
    return {**_object({**fields, **(more or {})}, *required), "anyOf": named}


# ---------------------------------------------------------------- entries

# What a split needs beside its own keys: (method, properties, required keys).
SPLIT_PROPERTIES: dict[str, tuple[Schema, tuple[str, ...]]] = {
    FIXED: ({"shares": _list_of(_ref("share"))}, ("shares",)),
    EVEN: ({"among": _ref("among")}, ("among",)),
    PROPORTIONAL: (
        {
            "by": {"enum": list(DRIVERS)},
            "series": NAME,
            "of_rules": _ref("texts"),
            "usage": _object(dict.fromkeys(USAGE_FIELDS, TEXT), minProperties=1),
            "among": {"anyOf": [{"const": EVERY_TEAM}, _list_of(_member())]},
            "level": {"enum": list(LEVELS)},
            "weights": {"enum": ["day", "month"]},
            "min_share": _ref("percent"),
            "max_share": _ref("percent"),
        },
        ("by",),
    ),
}
OWNER: Schema = {"owner": _nullable(_ref("owner"))}
USAGE_OPTIONS: Schema = {
    "pool_cache_writes": {"type": "boolean"},
    "weights": {"enum": ["day", "month"]},
}
CAPACITY_WEIGHTS = _object({name: _ref("number") for name in WEIGHT_NAMES}, "input", "output")
OWN_PROPERTIES: dict[str, tuple[Schema, tuple[str, ...]]] = {
    DIRECT: ({"target": _ref("target")}, ("target",)),
    TRACED: ({**OWNER, **USAGE_OPTIONS, "by_region": {"type": "boolean"}}, ()),
    PROVIDER: ({**OWNER, **USAGE_OPTIONS}, ()),
    CAPACITY: (
        {**OWNER, "weights": CAPACITY_WEIGHTS, "tokens_per_unit": _ref("number")},
        ("weights",),
    ),
    GPU: (OWNER, ()),
    **SPLIT_PROPERTIES,
    FOLLOW: (
        {
            **OWNER,
            "follows": {"enum": list(FOLLOWED)},
            "by": {"enum": [EFFECTIVE_COST, LIST_COST]},
            "of_rules": _ref("texts"),
        },
        (),
    ),
    NONE: ({"reason": {"type": "string"}}, ()),
}


def _entry_defs() -> Schema:
    common = {
        "name": NAME,
        "when": _ref("condition"),
        "method": {},
        "kind": {"enum": list(KINDS)},
        "valid_from": {**MONTH, "description": "first month"},
        "valid_to": {**MONTH, "description": "month after the last"},
        "note": {"type": "string"},
    }
    return {
        "scope": _label("scope", AI_SCOPES),
        "phase": _label("phase", PHASES),
        "rule": _by_method(OWN_PROPERTIES, common),
        "pool": _by_method(
            {method: OWN_PROPERTIES[method] for method in SPLITS},
            {"name": NAME, "method": {}, "note": {"type": "string"}},
        ),
    }


def _label(what: str, labels: Sequence[str]) -> Schema:
    properties = {"name": NAME, what: {"enum": list(labels)}, "when": _ref("condition")}
    return _object(properties, "name", what)


def _by_method(methods: dict[str, tuple[Schema, tuple[str, ...]]], common: Schema) -> Schema:
    """An entry whose `method` decides which other keys it may have."""
    choices = []
    for method, (own, required) in methods.items():
        then = _object({**common, **own}, *required)
        if method == PROPORTIONAL:
            then["allOf"] = _driver_keys()
        choices.append(
            {
                "if": {"properties": {"method": {"const": method}}, "required": ["method"]},
                "then": then,
            }
        )
    return {
        "type": "object",
        "properties": {"method": {"enum": list(methods)}},
        "required": ["name", "method"],
        "allOf": choices,
    }


def _driver_keys() -> list[Schema]:
    """`series`, `of_rules`, `usage` and daily weights go with some drivers only."""
    goes_with = {"series": [SERIES], "of_rules": [COST], "usage": [REQUESTS, *TOKEN_DRIVERS]}
    found: list[Schema] = [
        {"if": {"required": [key]}, "then": {"properties": {"by": {"enum": drivers}}}}
        for key, drivers in goes_with.items()
    ]
    found.append(
        {"if": {"properties": {"by": {"const": SERIES}}}, "then": {"required": ["series"]}}
    )
    found.append(
        {
            "if": {"properties": {"by": {"const": COST}}},
            "then": {"properties": {"weights": {"const": "month"}}},
        }
    )
    return found
