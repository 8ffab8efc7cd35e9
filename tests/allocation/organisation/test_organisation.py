"""The organisation as a file: what it changes, what it can't, and that an apply does what the
preview showed.
"""

from __future__ import annotations

import unicodedata
from datetime import date
from decimal import Decimal

import pytest

from allocation.models import Feature, FeaturePlacement, Team, TeamAlias, TeamPlacement
from allocation.organisation.store import (
    OrganisationError,
    apply_organisation,
    preview_organisation,
    read_tree,
)
from allocation.organisation.stored import load_organisation
from allocation.organisation.tree import Tree
from allocation.organisation.tree_changes import TreePlan, plan_changes
from allocation.values.names import name_key, normal_name
from tests.allocation.bills import AWS, OPENAI, Bill, allocate, billed_by_team, usage, utc

TODAY = date(2026, 11, 2)
BASE = """kind,id,name,parent,cost_center,product,mode,criticality,sla,valid_from
legal_entity,acme,Acme Inc,,,,,,,
business_unit,commerce,Commerce,acme,,,,,,
business_unit,platform,Platform,acme,,,,,,
cost_center,4100,Commerce costs,acme,,,chargeback,,,
team,search,Search Engine,commerce,4100,,,,,2026-01-01
team,ads,Ads,commerce,4100,,,,,2026-01-01
product,shop,Shop,,,,,,,
feature,chat,The Chat,search,,shop,,high,yes,2026-01-01
team_alias,Suche,,search,,,,,,
"""
HEADER = "kind,id,name,parent,cost_center,product,mode,criticality,sla,valid_from\n"


def plan(text: str, tree: Tree | None = None) -> TreePlan:
    return plan_changes(
        text=text, tree=tree if tree is not None else plan(BASE, Tree()).after, today=TODAY
    )


def changes(text: str) -> list[tuple[str, str, int, str]]:
    return [(change.action, change.own, change.line, change.words) for change in plan(text).changes]


def problems(text: str) -> list[str]:
    return [str(problem) for problem in plan(text).problems]


# ---------------------------------------------------------------- the difference


def test_a_file_builds_a_tree_and_the_tree_writes_the_file() -> None:
    built = plan(BASE, Tree())

    assert built.problems == ()
    assert [change.action for change in built.changes] == ["added"] * 9
    assert plan(built.after.csv_text(), Tree()).after.sha256() == built.after.sha256()
    again = plan(BASE)
    assert (again.changes, again.unchanged) == ((), 9)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (
            "team,search,,platform,4100,,,,,2026-11-15",
            (
                "moved",
                "search",
                2,
                "Search Engine: business unit commerce to platform, from 15 November 2026",
            ),
        ),
        (
            "team,search,Search & Find,,,,,,,",
            ("renamed", "search", 2, "Search Engine becomes Search & Find"),
        ),
        (
            "feature,chat,,ads,,shop,,high,yes,2026-10-15",
            ("moved", "chat", 2, "The Chat: team search to ads, from 15 October 2026"),
        ),
        (
            "team,vision,Vision,platform,,,,,,2026-12-01",
            ("added", "vision", 2, "Vision (in platform, from 1 December 2026)"),
        ),
        (
            "team,search,,platform,4100,,,,,2026-01-01",
            (
                "rewritten",
                "search",
                2,
                "Search Engine: business unit commerce to platform from 1 January 2026, which "
                "changes what is recorded",
            ),
        ),
        (
            "cost_center,4100,,acme,,,showback,,,",
            (
                "rewritten",
                "4100",
                2,
                "Commerce costs: mode chargeback to showback, at any time, which changes what is "
                "recorded",
            ),
        ),
        (
            "cost_center,4100,,acme,,,showback,,,2026-12-01",
            (
                "moved",
                "4100",
                2,
                "Commerce costs: mode chargeback to showback, from 1 December 2026",
            ),
        ),
        ("team_alias,Anzeigen,,ads,,,,,,", ("added", "anzeigen", 2, "Anzeigen (means ads)")),
    ],
)
def test_each_difference_is_named(row: str, change: tuple[str, str, int, str]) -> None:
    assert changes(HEADER + row) == [change]
    assert problems(HEADER + row) == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "team,vision,Vision,nowhere,,,,,,2026-12-01",
            "line 2: there is no business unit 'nowhere'",
        ),
        ("team,vision,Vision,commerce,99,,,,,2026-12-01", "line 2: there is no cost centre '99'"),
        ("feature,chat,,search,,gone,,,,2026-12-01", "line 2: there is no product 'gone'"),
        ("team_alias,Suchen,,serach,,,,,,", "line 2: there is no team 'serach'"),
        (
            "team,search,,platform,4100,,,,,",
            "line 2: valid_from is missing: from which day does search stand there?",
        ),
        (
            "business_unit,new,New,acme,,,,,,2026-12-01",
            "line 2: new is new: its first row has no valid_from and says where it stands before",
        ),
        (
            "team,search,,platform,4100,,,,,15.11.26",
            "line 2: valid_from is a day such as 2026-10-15, not '15.11.26'",
        ),
        ("team,vision,,commerce,,,,,,2026-12-01", "line 2: team vision is new, so it needs a name"),
        (
            "business_unit,new,New,,,,,,,",
            "line 2: a business unit needs a parent, which is a legal entity",
        ),
        ("product,shop,Shop,acme,,,,,,", "line 2: a product has no parent"),
        (
            "crew,x,X,,,,,,,",
            "line 2: kind is one of legal_entity, business_unit, cost_center, team, product, "
            "feature, team_alias, feature_alias, not 'crew'",
        ),
        (
            "team,a b,A,commerce,,,,,,2026-12-01",
            "line 2: an id has up to 50 letters, digits, hyphens and underscores, not 'a b'",
        ),
    ],
)
def test_each_problem_is_named_with_its_line(row: str, problem: str) -> None:
    assert problems(HEADER + row) == [problem]


def test_rows_that_contradict_each_other_are_refused() -> None:
    twice = "team,search,,platform,4100,,,,,2026-11-15\nteam,search,,commerce,,,,,,2026-11-15\n"

    assert problems(HEADER + twice) == ["line 3: line 2 puts search somewhere else on the same day"]
    assert problems(HEADER + "team,search,One,,,,,,,\nteam,search,Two,,,,,,,\n") == [
        "line 3: line 2 gives search another name"
    ]


def test_a_move_before_a_recorded_one_is_a_rewrite_and_a_repeated_place_is_nothing() -> None:
    moved = plan(HEADER + "team,search,,platform,4100,,,,,2026-11-15\n").after

    between = plan(HEADER + "team,search,,platform,4100,,,,,2026-10-15\n", moved)
    assert [(change.action, change.is_past) for change in between.changes] == [("rewritten", True)]
    assert "until 15 November 2026" in between.changes[0].words
    same = plan(HEADER + "team,search,,platform,4100,,,,,2026-12-15\n", moved)
    assert (same.changes, same.unchanged) == ((), 1)


def test_line_ends_and_formulas_do_not_change_what_a_file_says() -> None:
    assert plan(BASE.replace("\n", "\r\n")).content_sha256 == plan(BASE).content_sha256
    named = plan(HEADER + "product,odd,=1+1,,,,,,,\n").after
    assert "'=1+1" in named.csv_text()
    assert plan(named.csv_text(), named).changes == ()


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "row",
    [
        "team,other,SEARCH  engine,commerce,,,,,,2026-12-01",  # case and spaces
        "team,other,Ｓearch Engine,commerce,,,,,,2026-12-01",  # width
        "team,other,Search-Engine,commerce,,,,,,2026-12-01",  # as a slug
        "team,search-engine,Other,commerce,,,,,,2026-12-01",  # a slug that is another's name
    ],
)
def test_fault_080_two_teams_never_have_one_name(row: str) -> None:
    assert problems(HEADER + row)[0].startswith("line 2: two teams would be called")


def test_fault_080_composed_and_decomposed_letters_are_one_name() -> None:
    composed = unicodedata.normalize("NFC", "Équipe Données")
    decomposed = unicodedata.normalize("NFD", "  équipe  DONNÉES ")

    assert normal_name(composed) == normal_name(decomposed)
    assert name_key("Équipe\u200b Données") == name_key(composed)
    tree = plan(HEADER + f"team,data,{composed},commerce,,,,,,2026-12-01\n").after
    second = plan(HEADER + f"team,data2,{decomposed},commerce,,,,,,2026-12-01\n", tree)
    assert str(second.problems[0]).startswith("line 2: two teams would be called")


def test_an_alias_is_no_other_teams_name_unless_it_says_from_when() -> None:
    assert problems(HEADER + "team_alias,ADS,,search,,,,,,") == [
        "line 2: 'ADS' is team ads itself; say from which day it means search"
    ]
    assert problems(HEADER + "team_alias,ADS,,search,,,,,,2026-11-15") == []


# ---------------------------------------------------------------- carrying out


def build(text: str = BASE) -> TreePlan:
    return apply_organisation(
        text=text,
        previewed=preview_organisation(text=text, today=TODAY).token,
        rewrite=False,
        today=TODAY,
    )


@pytest.mark.django_db
def test_an_apply_does_exactly_what_was_previewed() -> None:
    build()
    text = HEADER + "team,search,,platform,4100,,,,,2026-11-15\n"
    shown = preview_organisation(text=text, today=TODAY)

    with pytest.raises(OrganisationError, match="not the one that was previewed"):
        apply_organisation(
            text=text + "team,ads,Adverts,,,,,,,\n",
            previewed=shown.token,
            rewrite=False,
            today=TODAY,
        )
    with pytest.raises(OrganisationError, match="preview it first"):
        apply_organisation(text=text, previewed="", rewrite=False, today=TODAY)
    Team.objects.filter(slug="ads").update(name="Adverts")
    with pytest.raises(OrganisationError, match="changed since the preview"):
        apply_organisation(text=text, previewed=shown.token, rewrite=False, today=TODAY)
    assert TeamPlacement.objects.filter(team__slug="search").count() == 1

    build(text)

    days = TeamPlacement.objects.filter(team__slug="search").order_by("valid_from")
    assert list(days.values_list("valid_from", "business_unit__slug")) == [
        (date(2026, 1, 1), "commerce"),
        (date(2026, 11, 15), "platform"),
    ]


@pytest.mark.django_db
def test_the_recorded_past_changes_only_when_that_is_meant() -> None:
    build()
    text = HEADER + "team,search,,platform,4100,,,,,2026-01-01\n"
    token = preview_organisation(text=text, today=TODAY).token

    with pytest.raises(OrganisationError, match="say that this is meant"):
        apply_organisation(text=text, previewed=token, rewrite=False, today=TODAY)
    apply_organisation(text=text, previewed=token, rewrite=True, today=TODAY)

    assert TeamPlacement.objects.get(team__slug="search").business_unit.slug == "platform"


@pytest.mark.django_db
def test_units_and_cost_centres_change_from_a_day_on_and_keep_what_was_before() -> None:
    build()
    text = HEADER + (
        "legal_entity,globex,Globex,,,,,,,\n"
        "business_unit,commerce,,globex,,,,,,2026-12-01\n"
        "cost_center,4100,,acme,,,showback,,,2026-12-01\n"
        "cost_center,4100,,globex,,,chargeback,,,2027-03-01\n"
    )

    build(text)

    tree = read_tree()
    unit, center = ("business_unit", "commerce"), ("cost_center", "4100")
    days = [date(2020, 1, 1), date(2026, 11, 30), date(2026, 12, 1), date(2027, 3, 1)]
    assert [place.parent for day in days if (place := tree.place_on(unit, day))] == [
        "acme",
        "acme",
        "globex",
        "globex",
    ]
    assert [
        (place.parent, place.mode) for day in days if (place := tree.place_on(center, day))
    ] == [
        ("acme", "chargeback"),
        ("acme", "chargeback"),
        ("acme", "showback"),
        ("globex", "chargeback"),
    ]
    again = preview_organisation(text=tree.csv_text(), today=TODAY)
    assert (again.changes, again.problems) == ((), ())
    assert "cost_center,4100,Commerce costs,acme,,,chargeback,,,\n" in tree.csv_text()
    assert "cost_center,4100,Commerce costs,acme,,,showback,,,2026-12-01\n" in tree.csv_text()


@pytest.mark.django_db
def test_a_file_with_a_problem_changes_nothing() -> None:
    with pytest.raises(OrganisationError, match="line 11: there is no team"):
        build(BASE + "team_alias,Suchen,,serach,,,,,,\n")

    assert not Team.objects.exists()


@pytest.mark.django_db
def test_the_organisation_reads_back_as_it_was_written() -> None:
    applied = build()

    assert read_tree().csv_text() == applied.after.csv_text()
    assert (TeamAlias.objects.get().name, Feature.objects.get().name) == ("Suche", "The Chat")
    organisation = load_organisation()
    assert [organisation.team(text) for text in (" SUCHE", "search engine", "ads", "suchen")] == [
        "search",
        "search",
        "ads",
        None,
    ]


@pytest.mark.django_db
def test_fault_080_a_name_of_two_teams_is_nobodys() -> None:
    Team.objects.bulk_create([Team(slug="a1", name="Team A"), Team(slug="a2", name="team  a")])

    organisation = load_organisation()

    assert (organisation.team("Team A"), organisation.team("A1")) == (None, "a1")


# ---------------------------------------------------------------- history


def spend_on(*days: int) -> None:
    """Ten a day by the team tag search, and ten for the feature chat, which traces without a team
    used.
    """
    cloud, openai = Bill("aws"), Bill("openai")
    for day in days:
        cloud.charge("10", at=utc(day), tags={"team": "search"}, **AWS)
        openai.charge("10", at=utc(day), quantity="100", sku_meter="gpt-4o, input", **OPENAI)
        usage(None, "chat", at=utc(day), input_uncached=100)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "after"),
    [
        # Moved: the unit changes, the team keeps its cost.
        ("team,search,,platform,4100,,,,,2026-10-15\n", {"search": Decimal(40)}),
        # Merged: from then on its name means the other team, and its feature has another owner.
        (
            "team_alias,search,,ads,,,,,,2026-10-15\n"
            "feature,chat,,ads,,shop,,high,yes,2026-10-15\n",
            {"search": Decimal(20), "ads": Decimal(20)},
        ),
        # Split: a new team takes over the feature.
        (
            "team,bots,Bots,platform,,,,,,2026-10-15\n"
            "feature,chat,,bots,,shop,,high,yes,2026-10-15\n",
            {"search": Decimal(30), "bots": Decimal(10)},
        ),
    ],
    ids=["moved", "merged", "split"],
)
def test_fault_079_a_team_moved_merged_or_split_mid_month_keeps_its_history(
    change: str, after: dict[str, Decimal]
) -> None:
    build()
    spend_on(10, 20)
    allocate()
    assert billed_by_team() == {"search": Decimal(40)}

    assert preview_organisation(text=HEADER + change, today=TODAY).rewrites == ()
    build(HEADER + change)
    allocate()

    assert billed_by_team() == after
    assert sum(after.values()) == Decimal(40)
    assert TeamPlacement.objects.filter(team__slug="search", valid_from=date(2026, 1, 1)).exists()
    assert (
        FeaturePlacement.objects.get(
            feature__slug="chat", valid_from=date(2026, 1, 1)
        ).owner_team.slug
        == "search"
    )
