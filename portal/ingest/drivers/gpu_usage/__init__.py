"""GPU-seconds per hour, node and workload."""
