"""The rules that the demo's FinOps admin has accepted before the month is allocated: none, but in
two of the cases.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import yaml

from allocation.charges.groups import dimension_rows, pinned_scopes
from allocation.rules.conditions import Facts
from allocation.rules.rule_sets import add_owner_rule, default_rules_text
from portal.demo import cases
from portal.demo.calls import EMBEDDING_MODEL
from portal.demo.company import PROJECTS
from portal.demo.settings import DemoSettings

BY_TAGS = ("team", "feature", "environment")
OWN_NUMBER = re.compile(r"[0-9]+$")

When = tuple[tuple[str, str], ...]


def accept_rules(settings: DemoSettings, month: date) -> None:
    """Put the case's rules before the built-in ones, from this month on."""
    document = yaml.safe_load(default_rules_text())
    if settings.case == cases.TAGS:
        accepted = _owners_of_untagged(month)
        document["rules"][:0] = accepted
        document["scope"].append(
            {
                "name": "What has an accepted owner",
                "scope": "ai_supporting",
                "when": {"any": [r["when"] for r in accepted]},
            }
        )
    elif settings.case == cases.GATEWAY:
        project = PROJECTS[cases.GATEWAY_PROJECT].identifier
        rule = {
            "name": "Embeddings pass the gateway without a log",
            "when": {
                "SubAccountId": project,
                "Catalogue.Model": EMBEDDING_MODEL,
                "ChargeCategory": "Usage",
            },
            "method": "provider_usage",
            "owner": {"team": cases.GATEWAY_TEAM},
        }
        document["rules"].insert(0, rule)
    else:
        return
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    add_owner_rule(
        text=text, effective_from=month, acting_user="demo", note=f"case {settings.case}"
    )


def _owners_of_untagged(month: date) -> list[dict[str, Any]]:
    """A rule for each name that had tags on other days, where they all agree: read off the bill, as
    an admin would.
    """
    owners: dict[When, set[tuple[str | None, ...]]] = defaultdict(set)
    untagged: set[When] = set()
    for row in dimension_rows(month=month, scopes=pinned_scopes(month), tests=()):
        facts = Facts(row.columns)
        is_usage = row.columns["charge_category"] in ("Usage", "Purchase") and row.columns.get(
            "sub_account_id"
        )
        if facts.line.is_model_usage or not is_usage:
            continue
        when = _same_thing(row.columns)
        if "team" in facts.tags:
            owners[when].add(tuple(facts.tags.get(name) for name in BY_TAGS))
        else:
            untagged.add(when)
    return [
        _rule(when, next(iter(owners[when]))) for when in sorted(untagged) if len(owners[when]) == 1
    ]


def _same_thing(columns: Mapping[str, Any]) -> When:
    """The columns that a thing has on the bill with its tags or without: where it runs, and how it
    is called.
    """
    found = [
        (name, columns[column])
        for name, column in (("SubAccountId", "sub_account_id"), ("ServiceName", "service_name"))
    ]
    name = columns.get("resource_name")
    if name:
        return (*found, ("ResourceName", OWN_NUMBER.sub("", name)))
    return (*found, ("ChargeDescription", columns["charge_description"]))


def _rule(when: When, owner: Iterable[str | None]) -> dict[str, Any]:
    test: dict[str, Any] = {
        name: {"prefix": text} if name == "ResourceName" else text for name, text in when
    }
    return {
        "name": f"Owner of {' '.join(text for _, text in when[1:])} in {when[0][1]}",
        "when": {**test, "Tags.team": {"missing": True}},
        "method": "direct",
        "target": {name: value for name, value in zip(BY_TAGS, owner, strict=True) if value},
    }
