"""Difficulties that the accuracy benchmark looks at one by one: what each changes in a company that
is complete.

- `gateway`: three teams' projects are one, behind a gateway with one key of the provider. Its log
  names the virtual key of each call; embeddings pass it unlogged, and its own calls to try its
  routes are in no log.
- `cache`: features share a prompt cache, which one of them writes and the others only read.
- `batch`: nightly batch jobs without traces, two of them in one project. The provider's report
  knows their keys.
- `tags`: each resource lacks its tags on three days in ten, two nodes always; a sibling's name
  tells whose they are.
- `mistagged`: an account has another team's tag, and so have Vision's serving nodes for some days.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from zlib import crc32

from portal.demo.company import PROJECTS
from portal.demo.features import DemoFeature, Traffic
from portal.demo.models import MODELS
from portal.demo.settings import DemoSettings, month_after

if TYPE_CHECKING:
    from portal.demo.focus_rows import DemoBillLine

GATEWAY, CACHE, BATCH, TAGS, MISTAGGED = CASES = ("gateway", "cache", "batch", "tags", "mistagged")

GATEWAY_PROJECT, GATEWAY_TEAM = "gateway", "ml-platform"
OWN_CALLS = 0.04  # of the gateway's tokens: its own calls
_BEHIND_GATEWAY = ("merchant-prod", "growth-prod", "devtools")
# Their embeddings pass the gateway without a log.
_UNLOGGED = (
    "semantic-search",
    "knowledge-index",
)
# Code-agent and agent-triage write what they read.
_READ_ONLY = (
    "test-writer",
    "eval-harness",
    "store-setup",
)
_BATCH_JOBS = {
    "product-descriptions": Traffic("gpt-5.4-mini", "merchant-prod", 60, 3200, 900, traced=False,
        batch=True, rhythm="night"),
    "campaign-copy": Traffic("gpt-5.4-mini", "merchant-prod", 25, 5200, 1400, traced=False,
        batch=True, rhythm="night"),
    "bundle-ideas": Traffic("nova-pro", "ai-prod", 40, 9000, 800, traced=False, batch=True,
        rhythm="night"),
    "sentiment-tags": Traffic("nova-pro", "ai-prod", 90, 2100, 300, traced=False, batch=True,
        rhythm="night"),
}  # fmt: skip
UNTAGGED_SHARE = 0.3
_NEVER_TAGGED = ("embed-g6-02", "vision-g6-02")
WRONG_ACCOUNT = ("docs-prod", "localization")  # Documents' own, as its traces say


def traffic(feature: DemoFeature, settings: DemoSettings) -> tuple[Traffic, ...]:
    """The feature's traffic in this case."""
    own = feature.traffic
    if settings.case == GATEWAY:
        return tuple(_behind_gateway(feature, each) for each in own)
    if settings.case == CACHE and feature.slug in _READ_ONLY:
        return tuple(
            replace(each, cached=0.8, reads_shared_cache=True)
            if MODELS[each.model].writes_cache
            else each
            for each in own
        )
    if settings.case == BATCH and feature.slug in _BATCH_JOBS:
        return (*own, _BATCH_JOBS[feature.slug])
    return own


def _behind_gateway(feature: DemoFeature, each: Traffic) -> Traffic:
    if feature.slug in _UNLOGGED:
        return replace(each, project=GATEWAY_PROJECT, traced=False)
    if each.project in _BEHIND_GATEWAY:
        return replace(each, project=GATEWAY_PROJECT, dialect="otel")
    return each


def is_logged_by_gateway(each: Traffic, settings: DemoSettings) -> bool:
    return settings.case == GATEWAY and each.project == GATEWAY_PROJECT


def virtual_key(feature: DemoFeature) -> dict[str, str]:
    """What LiteLLM writes of the caller's virtual key; each feature has one, named after it."""
    return {
        "metadata.user_api_key_team_alias": feature.team,
        "metadata.user_api_key_alias": feature.slug,
        "metadata.user_api_key_end_user_id": f"svc-{feature.service}",
    }


# The installation's own attribute names (docs/settings.md) under which those are team and feature.
GATEWAY_ATTRIBUTES = {
    "ATTRIBUTE_TEAM": "team,metadata.team,metadata.user_api_key_team_alias",
    "ATTRIBUTE_FEATURE": "feature,metadata.feature,metadata.user_api_key_alias",
}

# ---------------------------------------------------------------- tags


def as_tagged(lines: list[DemoBillLine], settings: DemoSettings) -> list[DemoBillLine]:
    """The bill's lines with the tags that they have in this case."""
    if settings.case == TAGS:
        return [replace(line, tags={}) if _lacks_tags(line, settings) else line for line in lines]
    if settings.case == MISTAGGED:
        project, team = WRONG_ACCOUNT
        account = PROJECTS[project].identifier
        return [
            replace(line, tags={**line.tags, "team": team})
            if _is_model_line_of(line, account)
            else line
            for line in lines
        ]
    return lines


def _is_model_line_of(line: DemoBillLine, account: str) -> bool:
    return (
        line.project is not None
        and line.project[0] == account
        and any(cause.model for cause in line.causes)
    )


def _lacks_tags(line: DemoBillLine, settings: DemoSettings) -> bool:
    """Most resources lost their tags once, for three tenths of the month, and got them back."""
    if line.columns.get("ResourceName") in _NEVER_TAGGED:
        return True
    resource = line.columns.get("ResourceName") or f"{line.project} {line.description}"
    days = (month_after(line.month) - line.month).days
    first = crc32(f"{settings.seed} {resource}".encode()) % days
    return ((line.start - line.month).days - first) % days < round(days * UNTAGGED_SHARE)
