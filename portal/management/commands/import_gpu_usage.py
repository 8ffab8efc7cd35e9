"""manage.py import_gpu_usage FILE: GPU-seconds per hour, node and workload."""

from __future__ import annotations

from typing import Any

from portal.ingest.drivers.delivery import Kind
from portal.ingest.drivers.gpu_usage.kind import GPU_USAGE
from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Replace the hours of the clusters that a CSV file of GPU usage has rows of."

    def kind(self, **_options: Any) -> Kind:
        return GPU_USAGE
