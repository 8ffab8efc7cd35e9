from __future__ import annotations

import pytest

from allocation.models import Feature, Team
from reports.queries.ownership.organisation import OrganisationNames, names_of

pytestmark = pytest.mark.django_db


def test_known_slugs_are_named_and_others_stay_as_told() -> None:
    Team.objects.create(slug="ads", name="Advertising")
    Feature.objects.create(slug="chat", name="Chat for customers")

    names = names_of(teams=["ads", "gone", None], features=["chat", "ads"])

    assert [names.team(slug) for slug in ("ads", "gone", None)] == [
        "Advertising",
        "gone",
        "no team",
    ]
    assert [names.feature(slug) for slug in ("chat", "ads", None)] == [
        "Chat for customers",
        "ads",
        "no feature",
    ]


def test_two_of_one_name_bear_their_slugs() -> None:
    """Else the lines of a chart, which go by their words, would meet."""
    for slug, name in (
        ("chat-eu", "Chat"),
        ("chat-us", "Chat"),
        ("faq", "told"),
        ("search", "Search"),
    ):
        Feature.objects.create(slug=slug, name=name)

    names = names_of(features=["chat-eu", "chat-us", "search", "faq", "told"])

    assert names.feature("chat-eu") == "Chat (chat-eu)"
    assert names.feature("chat-us") == "Chat (chat-us)"
    assert (names.feature("faq"), names.feature("told")) == ("told (faq)", "told")
    assert names.feature("search") == "Search"
    assert names_of(features=["chat-eu"]).feature("chat-eu") == "Chat"


def test_without_slugs_nothing_is_named() -> None:
    assert names_of() == OrganisationNames()
