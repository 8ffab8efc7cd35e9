"""What the demo company plans to spend: made before its first month, once, as a file of finance."""

from __future__ import annotations

from datetime import datetime

from allocation.models import SpendPlanVersion
from allocation.planning.plan_file import COLUMNS
from allocation.planning.store import preview_plans
from portal.decisions.plans import change_plans
from portal.demo.settings import DemoSettings
from portal.errors import Refused

ORIGIN = "plan-ai.csv"
AI_SERVICES, MACHINES = "6420 AI services", "6430 GPU capacity"

# (cost centre, team, account): amount a month and currency, at scale 1. Growth has outgrown its
# plan, Vision stays below, nobody planned for the long run that trained Recommendations' ranker,
# and the engineering platform never made a plan.
PLANS = {
    ("US-4100", "", AI_SERVICES): (16_000, "USD"),
    ("US-4200", "", AI_SERVICES): (12_500, "USD"),
    ("US-4200", "", MACHINES): (6_000, "USD"),
    ("US-4300", "", MACHINES): (30_000, "USD"),
    ("US-6100", "", AI_SERVICES): (1_000, "USD"),
    ("DE-7100", "", AI_SERVICES): (4_200, "EUR"),
    ("DE-7200", "", AI_SERVICES): (1_600, "EUR"),
    ("", "support", AI_SERVICES): (9_000, "USD"),
    ("", "vision", MACHINES): (30_000, "USD"),
    ("", "growth", AI_SERVICES): (1_000, "USD"),
    ("", "recommendations", MACHINES): (6_000, "USD"),
    ("", "documents", AI_SERVICES): (2_100, "EUR"),
}


def ensure_plans(settings: DemoSettings, *, now: datetime) -> None:
    """Make the plan of each month of the demo where nobody has made any: people may have changed
    it.
    """
    if SpendPlanVersion.objects.exists():
        return
    lines = [",".join(COLUMNS)]
    for month in settings.months:
        for (centre, team, account), (amount, currency) in PLANS.items():
            scaled = round(amount * settings.scale)
            lines.append(f"{month:%Y-%m},{centre},{team},{account},{scaled},{currency}")
    text = "\n".join(lines) + "\n"
    found = preview_plans(text)
    if found.problems:
        raise Refused(f"The demo's plans are not accepted: {found.problems[0].text}")
    change_plans(text=text, previewed=found.token, origin=ORIGIN, acting_user="finance", now=now)
