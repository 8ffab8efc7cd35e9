"""What can be done about cost that nobody owns, for who may do it; for others, whom to ask."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from allocation.values.names import (
    IDLE,
    NO_DRIVER,
    NO_GPU_USAGE,
    NO_RULE,
    NO_TEAM,
    NOTHING_TO_FOLLOW,
    OUTSIDE_SCOPE,
    OVER_EVERY_CAP,
    UNKNOWN_TEAM,
    UNKNOWN_WORDING,
    UNTRACED,
    ZERO_DRIVER,
)
from portal.accounts.models import Role
from portal.pages.frame.state import PageState
from portal.pages.registry import holds, rights
from reports.queries.explain.amount import ExplainedPart


@dataclass(frozen=True)
class Action:
    """Something that gives cost an owner; `right` is who may do it, None for whoever sends the
    telemetry.
    """

    words: str
    label: str = ""
    address: str = ""  # name of the page's address
    right: str | None = None


@dataclass(frozen=True)
class NextStep:
    """An action as one reader sees it: a link, or whom to ask."""

    words: str
    label: str
    href: str
    ask: str


ACCEPT = Action(
    "See whether an owner is suggested, and accept it.",
    "Without an owner",
    "ownership_unowned",
    "ownership-change",
)
WRITE_RULE = Action(
    "Write a rule that says who pays for it.", "Rule editor", "rules_edit", "rules-edit"
)
SEND_PROJECT = Action(
    "Send gen_ai.project with every call, named as the bill names the project or account, so that"
    " calls and bill lines meet."
)
SEND_TEAM = Action("Send the attribute team with every call: these calls name none.")
PLACE_TEAM = Action(
    "Add the team, or the other name it goes by, to the organisation.",
    "Organisation",
    "ownership",
    "ownership-change",
)
TEACH = Action(
    "Teach what the bill means by this wording.",
    "Not understood",
    "ownership_unknown",
    "ownership-change",
)
UPLOAD = Action(
    "Upload the usage data that it is split by.", "Usage data", "drivers", "drivers-change"
)
RAISE_CAPS = Action(
    "Raise the largest share that the rule lets one owner take.",
    "Rule editor",
    "rules_edit",
    "rules-edit",
)
IF_IT_IS_AI = Action(
    "Nobody is asked to pay what is outside AI. If it is AI after all, write a rule for it.",
    "Rule editor",
    "rules_edit",
    "rules-edit",
)

ACTIONS: dict[str, tuple[Action, ...]] = {
    NO_RULE: (ACCEPT, WRITE_RULE),
    UNTRACED: (SEND_PROJECT, ACCEPT),
    NO_TEAM: (SEND_TEAM, ACCEPT),
    UNKNOWN_TEAM: (PLACE_TEAM,),
    UNKNOWN_WORDING: (TEACH,),
    IDLE: (WRITE_RULE,),
    NO_GPU_USAGE: (UPLOAD,),
    NO_DRIVER: (UPLOAD,),
    ZERO_DRIVER: (UPLOAD,),
    NOTHING_TO_FOLLOW: (WRITE_RULE,),
    OVER_EVERY_CAP: (RAISE_CAPS,),
    OUTSIDE_SCOPE: (IF_IT_IS_AI,),
}
OF_ANY_REASON = (ACCEPT, WRITE_RULE)


def next_steps(
    request: HttpRequest, state: PageState, part: ExplainedPart | None
) -> list[NextStep]:
    """Nothing for cost that has an owner."""
    if part is None or part.reason is None:
        return []
    reason = UNKNOWN_TEAM if part.reason.startswith(f"{UNKNOWN_TEAM}: ") else part.reason
    return [_seen_by(request, state, action) for action in ACTIONS.get(reason, OF_ANY_REASON)]


def _seen_by(request: HttpRequest, state: PageState, action: Action) -> NextStep:
    if action.right is None:
        return NextStep(action.words, "", "", "")
    if not holds(request, action.right):
        return NextStep(action.words, "", "", _who(action.right))
    href = f"{reverse(action.address)}?{state.query_string()}"
    return NextStep(action.words, action.label, href, "")


def _who(right: str) -> str:
    """ "a FinOps admin", or "finance or a FinOps admin"."""
    names = {Role.FINANCE: "finance", Role.FINOPS_ADMIN: "a FinOps admin"}
    return " or ".join(name for role, name in names.items() if role in rights()[right])
