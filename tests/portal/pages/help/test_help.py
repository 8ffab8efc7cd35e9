"""The documents of the release are pages, and figures lead to what is said of them."""

from __future__ import annotations

import re

import pytest

from portal.accounts.models import Role
from portal.documents import SHOWN, documents, meanings
from tests.factories import client_of, make_team

pytestmark = pytest.mark.django_db


def test_every_document_of_the_list_is_there_and_opens() -> None:
    make_team("search")
    client = client_of(Role.TEAM_LEAD, "search")

    assert tuple(each.name for each in documents()) == SHOWN
    for each in documents():
        page = client.get(each.address)
        assert page.status_code == 200
        assert f"<h1>{each.title}</h1>" in page.content.decode()
        assert " style=" not in page.content.decode()


def test_links_between_documents_lead_to_parts_that_exist() -> None:
    client = client_of(Role.FINANCE)
    parts = {each.name: set(re.findall(r'<h\d id="([^"]+)"', each.html)) for each in documents()}
    for each in documents():
        for name, part in re.findall(r'href="/help/([a-z_]+)/(?:#([^"]*))?"', each.html):
            assert client.get(f"/help/{name}/").status_code == 200
            assert not part or part in parts[name], (each.name, name, part)


def test_a_link_to_a_file_of_the_repository_is_its_words_alone() -> None:
    for each in documents():
        addresses = re.findall(r'href="([^"]*)"', each.html)
        assert [a for a in addresses if not re.match(r"https?://|#|/help/", a)] == []
    rules = next(each for each in documents() if each.name == "rules")
    assert "rules.schema.json" in rules.html


def test_only_documents_of_the_list_are_pages() -> None:
    for name in ("architecture", "nothing"):
        assert client_of(Role.FINANCE).get(f"/help/{name}/").status_code == 404


def test_what_a_figure_means_leads_to_its_part() -> None:
    meaning = meanings()["Largest provider"]

    assert meaning.formula == "greatest cost of one provider over cost"
    page = client_of(Role.FINANCE).get(meaning.address).content.decode()
    assert f'id="{meaning.heading}"' in page
