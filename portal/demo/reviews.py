"""What the demo's leads said of the last whole month: one accepts, one questions a line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from allocation.models import Team
from portal.accounts.models import Membership, Role, User
from portal.reviews.marks import add_mark
from portal.reviews.models import MonthReview
from reports.cost_question.runs import current_runs, runs_of_months


@dataclass(frozen=True)
class DemoMark:
    team: str
    username: str
    state: str
    line: str = ""
    comment: str = ""


# Leads without a password: they have been here, and nobody signs in as them.
LEADS = {"ravi": ("Ravi", "Sandhu", "recommendations"), "mara": ("Mara", "Ilves", "vision")}
SAID = (
    DemoMark("support", "teamlead", "seen"),
    DemoMark("support", "teamlead", "accepted", comment="Ticket summary grew as planned."),
    DemoMark(
        "recommendations",
        "ravi",
        "questioned",
        "feature=ranker-retrain",
        "One day was planned, the run took five. Who pays for the other four?",
    ),
    DemoMark("vision", "mara", "seen"),
)


def ensure_reviews(month: date) -> None:
    """Once, where the month is allocated: what people said since then stays."""
    runs = runs_of_months(current_runs(), [month])
    if not runs or MonthReview.objects.filter(month=month).exists():
        return
    for username, (first, last, slug) in LEADS.items():
        user, is_new = User.objects.get_or_create(
            username=username, defaults={"first_name": first, "last_name": last}
        )
        if is_new:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        Membership.objects.get_or_create(
            user=user, role=Role.TEAM_LEAD, team=Team.objects.get(slug=slug)
        )
    for said in SAID:
        add_mark(
            team=Team.objects.get(slug=said.team),
            month=month,
            state=said.state,
            line=said.line,
            comment=said.comment,
            runs=runs,
            acting_user=said.username,
        )
