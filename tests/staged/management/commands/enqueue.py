"""`manage.py enqueue KIND JSON`: ask for a job from a process that ends at once; prints its id."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from portal.jobs.queue import enqueue


class Command(BaseCommand):
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind")
        parser.add_argument("payload", type=json.loads)
        parser.add_argument("--crash-before-publish", action="store_true")
        parser.add_argument("--time", action="store_true", help="print the seconds it took as well")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        with transaction.atomic():
            if options["crash_before_publish"]:
                transaction.on_commit(self.crash)  # before the hook that enqueue adds
            job = enqueue(options["kind"], options["payload"])
            print(job.pk, flush=True)
        if options["time"]:
            print(time.monotonic() - began)

    def crash(self) -> None:
        os._exit(9)
