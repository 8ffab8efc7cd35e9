"""Spans: decoded, brought into one normal form of names and token counts, and stored."""
