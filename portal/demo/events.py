"""Things worth finding, each placed relative to the demo's anchor, so that they lie where a reader
looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from portal.demo.features import DemoFeature, Traffic
from portal.demo.settings import DemoSettings, at

# Offsets are days from the first day of the anchor's month.
# A prompt release that writes everything to the log, and reads it again.
VERBOSE_RELEASE = (
    "ticket-summary",
    -17,
)
# A team dissolved in a reorganisation; its service still says so.
UNKNOWN_TEAM = (
    "policy-qa",
    -20,
    "trust-safety",
)
# A retry loop starts the same training again, on three more nodes.
RUNAWAY_RETRAIN = (
    "ranker-retrain",
    -18,
    -14,
)
IDLE_NODE = ("staging-inference", -62)  # last traffic; the node stays
MISTAGGED = (-24, -13)  # Vision's serving nodes carry Search's team tag after a template was copied
HACKWEEK = "hackweek-copilot"  # began in a hack week, calls itself round the clock since
INCIDENT_SAMPLING = 12  # on-call keeps this many times more traces since the latest incident began
RELEASE_EVERY_DAYS = 19  # ordinary prompt releases


def is_running(traffic: Traffic, day: date, settings: DemoSettings) -> bool:
    if traffic.first_day is not None and day < settings.day(traffic.first_day):
        return False
    return traffic.last_day is None or day <= settings.day(traffic.last_day)


def token_factors(feature: DemoFeature, day: date, settings: DemoSettings) -> tuple[float, float]:
    """What multiplies (input, output) tokens per call on this day."""
    slug, offset = VERBOSE_RELEASE
    if feature.slug == slug and day >= settings.day(offset):
        return 1.45, 2.4
    return 1.0, 1.0


def prompt_version(feature: DemoFeature, day: date, settings: DemoSettings) -> str:
    """The released prompt version: one more every few weeks, and one for the verbose release."""
    phase = sum(feature.slug.encode()) % RELEASE_EVERY_DAYS
    number = 1 + ((day - settings.first_day).days + phase) // RELEASE_EVERY_DAYS
    slug, offset = VERBOSE_RELEASE
    if feature.slug == slug:
        number = 7 if day >= settings.day(offset) else 6
    return f"v{number}"


def named_team(
    feature: DemoFeature, traffic: Traffic, day: date, settings: DemoSettings
) -> str | None:
    """The team its spans name: usually its own."""
    if settings.complete:
        return feature.team
    slug, offset, team = UNKNOWN_TEAM
    if feature.slug == slug and day >= settings.day(offset):
        return team
    return feature.team if traffic.names_team else None


def error_burst(settings: DemoSettings) -> tuple[str, datetime, datetime]:
    """Feature, start and end: Bedrock throttles reply suggestions as the demo begins."""
    return (
        "reply-suggest",
        settings.anchor - timedelta(hours=5),
        settings.anchor + timedelta(hours=1),
    )


def earlier_error_burst(settings: DemoSettings) -> tuple[str, datetime, datetime]:
    day = settings.anchor.date() - timedelta(days=3)
    return "chat-assistant", at(day, 15.0), at(day, 16.7)


def latency_regression(settings: DemoSettings) -> tuple[str, datetime]:
    """Model and start: Gemini 2.5 Pro answers almost three times slower since the day before the
    anchor.
    """
    return "gemini-2.5-pro", settings.anchor - timedelta(hours=30)


@dataclass(frozen=True)
class LateCredit:
    billed_in: date  # month
    outage: date
    share: Decimal  # of the month's bill
    description: str


def late_credit(settings: DemoSettings) -> LateCredit:
    """OpenAI's credit for an outage, on the bill of a month long after it."""
    billed_in = (settings.anchor_month - timedelta(days=1)).replace(day=1)
    outage = (billed_in - timedelta(days=20)).replace(day=12)
    description = f"Service credit for the API outage on {outage.isoformat()}"
    return LateCredit(billed_in, outage, Decimal("0.11"), description)


def incident_sampling(settings: DemoSettings) -> tuple[str, date]:
    """The project in which on-call samples more densely, and since when."""
    return "ai-conversations", settings.anchor.date() - timedelta(days=2)
