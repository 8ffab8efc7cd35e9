"""What holds of every page, and that one is added by one folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module, reload
from pathlib import Path
from typing import Any, get_args

import pytest
from django.template.loader import get_template
from django.test import Client
from django.urls import clear_url_caches, reverse

import portal.urls
from portal.accounts.models import Role
from portal.pages.registry import PAGES, Choice, PageSpec, page_address, pages, rights
from tests.factories import client_of, make_team
from tests.folders import one_more_folder

ROOT = Path(import_module(PAGES).__path__[0])
TEMPLATES = sorted(ROOT.rglob("*.html"))

every_page = pytest.mark.parametrize("spec", pages().values(), ids=lambda spec: spec.name)

# A page of its own: who may see it, where it stands, what its view shows, and its template.
BUDGETS = """
from django.shortcuts import render
from django.urls import path

from portal.accounts.models import Role
from portal.pages.frame.render import render_page
from portal.pages.frame.state import PageState
from portal.pages.registry import PageSpec, Right


def show_budgets(request):
    state = PageState.from_request(request)
    context = {"plan": "1,200 USD"}
    return render_page(
        request, "budgets/page.html", context, page="budgets", title="Budgets", state=state
    )


def change_budget(request):
    return render(request, "budgets/page.html", {"plan": "changed"})


BUDGETS = PageSpec(
    name="budgets",
    label="Budgets",
    position=65,
    group="close",
    roles=frozenset({Role.FINANCE, Role.FINOPS_ADMIN}),
    urls=(path("budgets/", show_budgets, name="budgets"),),
    choices=("period",),
    rights=(
        Right(
            "budgets-change",
            frozenset({Role.FINOPS_ADMIN}),
            (path("budgets/change/", change_budget, name="budgets_change"),),
        ),
    ),
)
"""
PLAN = '{% extends "base.html" %}{% block content %}<p>Planned: {{ plan }}</p>{% endblock %}'


def look_again() -> None:
    """Forget which pages there are, and their addresses."""
    pages.cache_clear()
    rights.cache_clear()
    reload(portal.urls)
    clear_url_caches()


@pytest.fixture
def budgets(tmp_path: Path, settings: Any) -> Iterator[None]:
    """The portal with one folder more where pages and their templates are looked up."""
    templates = deepcopy(settings.TEMPLATES)
    templates[0]["DIRS"].append(tmp_path)
    settings.TEMPLATES = templates
    with one_more_folder(PAGES, "budgets", BUDGETS, beside=tmp_path):
        (tmp_path / "budgets" / "page.html").write_text(PLAN, encoding="utf-8")
        look_again()
        yield
    look_again()


# ---------------------------------------------------------------- of every page


@every_page
def test_a_page_says_who_may_do_what_where(spec: PageSpec) -> None:
    for right in spec.all_rights():
        assert right.roles
        assert right.urls
        assert right.roles <= spec.roles  # who may change what a page shows may see it
        assert all(url.name for url in right.urls)
    assert set(spec.choices) <= set(get_args(Choice))
    assert len(set(spec.choices)) == len(spec.choices)
    assert page_address(spec.name) == reverse(str(spec.urls[0].name))


def test_no_two_pages_share_a_name_a_place_or_an_address() -> None:
    specs = pages().values()
    every_right = [right for spec in specs for right in spec.all_rights()]
    urls = [url for right in every_right for url in right.urls]

    for told in (
        [spec.label for spec in specs if spec.label],
        [spec.position for spec in specs],
        [right.name for right in every_right],
        [url.name for url in urls],
        [str(url.pattern) for url in urls],
    ):
        assert len(set(told)) == len(told)


@pytest.mark.django_db
@every_page
def test_a_page_opens_for_its_roles_and_is_not_there_for_others(spec: PageSpec) -> None:
    address = page_address(spec.name)
    answers = {}
    make_team("search")
    for role in Role:
        client = client_of(role, *["search"][: role == Role.TEAM_LEAD])
        answers[role] = client.get(address, follow=True)

    assert {role for role, answer in answers.items() if answer.status_code == 200} == spec.roles
    assert {answers[role].status_code for role in set(Role) - spec.roles} <= {404}
    for role in spec.roles:
        rail = answers[role].context["rail"]
        here = [spec.label] if spec.label else []
        assert [link.label for link in rail if link.is_here] == here
    assert Client().get(address)["Location"] == f"/accounts/login/?next={address}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_template_is_found_under_the_name_of_its_folder(path: Path) -> None:
    found = get_template(path.relative_to(ROOT).as_posix())

    assert found.origin.name == str(path)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- one folder more


@pytest.mark.django_db
def test_a_page_is_added_by_one_folder(budgets: None) -> None:
    finance, executive = client_of(Role.FINANCE), client_of(Role.EXECUTIVE)
    admin = client_of(Role.FINOPS_ADMIN)

    page = finance.get("/budgets/")

    assert page.status_code == 200
    assert "<p>Planned: 1,200 USD</p>" in page.content.decode()
    assert '<select name="period">' in page.content.decode()
    assert '<select name="metric">' not in page.content.decode()
    rail = [link.label for link in page.context["rail"]]
    assert rail[rail.index("Budgets") - 1 :][:3] == ["Chargeback", "Budgets", "Reconciliation"]
    assert executive.get("/budgets/").status_code == 404
    assert "Budgets" not in executive.get("/executive/").content.decode()
    assert [client.get("/budgets/change/").status_code for client in (finance, admin)] == [404, 200]
    assert Client().get("/budgets/").status_code == 302


@pytest.mark.django_db
def test_without_the_folder_there_is_no_such_page() -> None:
    assert client_of(Role.FINANCE).get("/budgets/").status_code == 404
    assert "budgets" not in rights()
