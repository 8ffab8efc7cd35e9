"""manage.py import_gpu_usage FILE: GPU-seconds per hour, node and workload."""

from __future__ import annotations

from portal.management.driver_command import DriverCommand


class Command(DriverCommand):
    help = "Replace the hours of the clusters that a CSV file of GPU usage has rows of."
    kind = "gpu_usage"
