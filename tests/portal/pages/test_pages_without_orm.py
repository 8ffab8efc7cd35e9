"""Page modules ask queries and services; none of them reaches into the database itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[3] / "portal" / "pages"
# What a queryset, a related manager, a row or a connection is told to do.
CALLS = {
    "filter", "exclude", "order_by", "annotate", "aggregate", "values_list", "distinct",
    "select_related", "prefetch_related", "bulk_create", "get_or_create", "update_or_create",
    "save", "refresh_from_db", "raw", "extra", "cursor", "execute",
}  # fmt: skip
SHORTCUTS = {"get_object_or_404", "get_list_or_404"}


def database_access(source: str) -> Iterator[str]:
    """Each place of the module that reaches into the database: `Job.objects`."""
    for node in ast.walk(ast.parse(source)):
        if is_access(node):
            yield ast.unparse(node)


def is_access(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="objects"):
            return True
        case ast.Call(func=ast.Attribute(attr=name)):
            return name in CALLS
        case ast.Name(id=name):
            return name in SHORTCUTS
        case ast.ImportFrom(module=str(module)):
            return module.startswith("django.db")
    return False


@pytest.mark.parametrize(
    "module", sorted(PAGES.rglob("*.py")), ids=lambda path: str(path.relative_to(PAGES))
)
def test_a_page_module_asks_no_database(module: Path) -> None:
    assert list(database_access(module.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "Job.objects.all()",
        "found.scopes.order_by('pk')",
        "get_object_or_404(User, pk=1)",
        "from django.db import connection",
        "from django.db.models import Q",
        "connection.cursor()",
    ],
)
def test_an_access_is_noticed(source: str) -> None:
    assert list(database_access(source)) != []
