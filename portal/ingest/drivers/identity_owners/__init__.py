"""Owners of keys, users, workspaces and projects."""
