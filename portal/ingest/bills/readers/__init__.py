"""Formats of bills: one folder each, which registers itself by holding a `BillFormat`."""
