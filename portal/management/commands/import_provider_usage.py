"""manage.py import_provider_usage FILE --provider NAME: a provider's own usage report."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from portal.ingest.drivers.delivery import Kind
from portal.ingest.drivers.provider_usage.kind import provider_usage_kind
from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Replace the days of a provider that a report has rows of: CSV, or JSON pages of OpenAI or Anthropic."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--provider", required=True, help="for example openai or anthropic")

    def kind(self, **options: Any) -> Kind:
        return provider_usage_kind(provider=options["provider"])
