"""Uploaded series: seats, queries, gigabytes."""
