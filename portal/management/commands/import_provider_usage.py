"""manage.py import_provider_usage FILE --provider NAME: a provider's own usage report."""

from __future__ import annotations

from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = (
        "Replace the days of a provider that a report has rows of: CSV, or JSON pages of OpenAI"
        " or Anthropic."
    )
    kind = "provider_usage"
