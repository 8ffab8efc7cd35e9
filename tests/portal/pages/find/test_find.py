"""One box finds whatever its reader may open, and nothing else."""

from __future__ import annotations

import pytest
from django.test import Client

from allocation.models import Import, StoredTarget, UsageDimension
from portal.accounts.models import Role
from tests.factories import client_of, make_source, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def company() -> None:
    for number, team in enumerate(("search", "support")):
        make_team(team, cost_center=f"CC-{number}")
        StoredTarget.objects.create(
            content_hash=team.encode(),
            team=team,
            feature=f"{team}-answers",
            model=f"{team}-large",
            product="Answers",
        )
        UsageDimension.objects.create(
            content_hash=team.encode(),
            is_inference=True,
            project="proj_answers",
            caller="key-answers",
            team=team,
        )
    Import.objects.create(
        source=make_source("OpenAI"), status="loaded", file_name="answers-october.csv"
    )


def found(client: Client, text: str) -> set[tuple[str, str, str]]:
    page = client.get("/find/", {"q": text})
    assert page.status_code == 200
    return {(hit.kind, hit.name, hit.detail) for hit in page.context["hits"]}


def kinds(client: Client, text: str) -> set[str]:
    return {kind for kind, _, _ in found(client, text)}


def test_a_part_of_a_name_finds_everything_that_holds_it() -> None:
    assert found(client_of(Role.FINOPS_ADMIN), "ANSWERS") == {
        ("feature", "search-answers", ""),
        ("feature", "support-answers", ""),
        ("product", "Answers", ""),
        ("project", "proj_answers", "search, support"),
        ("key", "key-answers", "search, support"),
        ("import", "answers-october.csv", f"{Import.objects.get().pk} · OpenAI"),
    }


def test_a_lead_finds_what_is_their_teams() -> None:
    assert found(client_of(Role.TEAM_LEAD, "search"), "s") == set()  # too short to be asked
    assert found(client_of(Role.TEAM_LEAD, "search"), "sea") == {
        ("team", "Search", "search"),
        ("feature", "search-answers", ""),
        ("model", "search-large", ""),
    }
    assert kinds(client_of(Role.TEAM_LEAD, "search"), "proj_answers") == set()


def test_every_address_that_is_found_opens() -> None:
    for role in Role:
        client = client_of(role, "search")
        for text in ("set", "answers", "CC-0", "chargeback", "large"):
            for hit in client.get("/find/", {"q": text}).context["hits"]:
                if hit.href:
                    assert client.get(hit.href).status_code == 200, (role, hit)


def test_a_trace_is_found_by_who_reads_traces_where_it_is() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"

    assert found(client_of(Role.ON_CALL), trace) == set()  # of which nothing is kept


def test_signs_of_a_pattern_are_letters() -> None:
    assert found(client_of(Role.FINOPS_ADMIN), "%%") == set()
    assert found(client_of(Role.FINOPS_ADMIN), "proj_answ") != set()
    assert found(client_of(Role.FINOPS_ADMIN), "projXansw") == set()


def test_the_box_of_the_rail_gets_the_list_alone() -> None:
    answer = client_of(Role.FINANCE).get("/find/", {"q": "search"}, headers={"HX-Request": "true"})

    assert "<html" not in answer.content.decode()
    assert "/showback/search/?" in answer.content.decode()
