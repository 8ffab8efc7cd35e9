from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from allocation.models import AllocationRun, Import
from portal.accounts.models import ApiKey, KeyScope, Role
from tests.allocation.bills import usage
from tests.factories import Costs, client_of, make_source, make_team, make_user
from tests.ledger_rows import add_group, add_split_key

pytestmark = pytest.mark.django_db


def bill(
    source: str, *, through: date, run: AllocationRun, status: str = "loaded", rejected: int = 0
) -> None:
    Import.objects.create(
        source=make_source(source), status=status, file_name="bill.csv", rows_rejected=rejected
    )
    split_key_id = add_split_key(
        run,
        source=make_source(source),
        rule="any",
        method="direct",
        ai_scope="ai",
        charge_category="Usage",
        split_key={},
    )
    add_group(run, split_key_id, through, charges=1, billed_cost=1, effective_cost=1)


@pytest.fixture
def costs() -> Costs:
    make_team("search")
    today = timezone.now().date()
    costs = Costs(today.replace(day=1))
    costs.add(1, "97", team="search", feature="ranking", model="gpt-4o")
    costs.add(1, "1", team="search", model="gpt-4o", charge_kind="untraced", evidence=1)
    costs.add(1, "2")
    costs.balance()
    return costs


def parts(client: Client, page: str = "/executive/") -> list[tuple[str, str | None]]:
    return [(part.text, part.advice) for part in client.get(page).context["trust_parts"]]


def test_rail_has_only_the_pages_a_reader_may_open(costs: Costs) -> None:
    labels = [link.label for link in client_of(Role.EXECUTIVE).get("/executive/").context["rail"]]

    assert labels == [
        "Executive",
        "Showback",
        "Explore",
        "Reconciliation",
        "Plan",
        "Rules",
        "Ownership",
    ]


def test_the_rail_stands_in_groups_and_says_what_waits(costs: Costs) -> None:
    bill("Google", through=costs.month, run=costs.run, rejected=3)

    rail = client_of(Role.FINOPS_ADMIN).get("/executive/").context["rail"]

    assert list(dict.fromkeys(link.group for link in rail)) == ["See", "Close", "Set up"]
    badges = {link.label: f"{link.badge.text} {link.badge.meaning}" for link in rail if link.badge}
    assert badges == {
        "Ownership": "2.0% of the cost has no owner",
        "Imports": "1 newest bills have a problem",
    }


def test_badges_of_the_organisation_are_not_for_one_team(costs: Costs) -> None:
    bill("Google", through=costs.month, run=costs.run, rejected=3)

    rail = client_of(Role.FINOPS_ADMIN).get("/executive/?team=search").context["rail"]

    assert [link.label for link in rail if link.badge] == []


def test_traces_are_live_while_a_program_sends_spans_of_days_ago(costs: Costs) -> None:
    now = timezone.now()
    usage("search", at=now - timedelta(days=40, hours=2))
    assert "traces 40 days ago" in dict(parts(client_of(Role.ON_CALL), "/on-call/"))
    ApiKey.objects.create(
        name="collector",
        prefix="apn_ingest_x",
        key_sha256=b"x",
        scope=KeyScope.INGEST,
        last_used_at=now - timedelta(minutes=2),
    )

    assert dict(parts(client_of(Role.ON_CALL), "/on-call/"))["traces live"] is None


def test_trust_line_says_how_far_and_how_much(costs: Costs) -> None:
    today = timezone.now().date()
    bill("AWS", through=today, run=costs.run)
    calculated_at = datetime(2026, 11, 30, 13, 59, tzinfo=UTC)
    AllocationRun.objects.filter(pk=costs.run.pk).update(finished_at=calculated_at)

    line = dict(parts(client_of(Role.EXECUTIVE)))

    assert line[f"Bills to {today.day} {today:%b} (AWS)"] is None
    assert line["97.0% attributed to an owner"] is None
    assert line["2.0% without an owner"] is None
    assert "calculated 30 Nov 13:59" in line


def test_attributed_leads_to_how_it_is_known(costs: Costs) -> None:
    response = client_of(Role.FINANCE).get("/chargeback/")

    (link,) = [part.href for part in response.context["trust_parts"] if "attrib" in part.text]
    assert link.startswith("/executive/?")
    page = client_of(Role.FINANCE).get(link).content.decode()
    assert f'id="{link.partition("#")[2]}"' in page


def test_the_folded_bar_names_the_team_or_unit_as_the_organisation_does(costs: Costs) -> None:
    make_team("answer-cards", unit="storefront")
    client = client_of(Role.EXECUTIVE)

    team, unit = (
        client.get(f"/executive/?period=2026-09&{chosen}")
        for chosen in ("team=answer-cards", "unit=storefront")
    )

    assert team.context["bar"]["summary"].endswith(" · Answer Cards")
    assert unit.context["bar"]["summary"].endswith(" · Storefront")


def test_a_lead_reads_the_shares_of_their_own_team_only(costs: Costs) -> None:
    client = Client()
    client.force_login(make_user(Role.TEAM_LEAD, teams=[make_team("support")]))

    texts = [text for text, _ in parts(client, "/showback/support/")]

    assert not [text for text in texts if "without an owner" in text or "attributed" in text]


def test_late_refused_and_rejected_bills_are_amber_with_what_to_do(costs: Costs) -> None:
    today = timezone.now().date()
    bill("AWS", through=today - timedelta(days=9), run=costs.run)
    bill("OpenAI", through=today, run=costs.run, status="refused")
    bill("Google", through=today, run=costs.run, rejected=3)

    advice = " ".join(text for _, text in parts(client_of(Role.FINANCE)) if text)

    assert "no newer bill of AWS has arrived, import it" in advice
    assert "the newest OpenAI bill was refused" in advice
    assert "3 rows of the newest Google bill were rejected" in advice


def test_a_lead_is_told_what_is_missing_and_whom_to_ask(costs: Costs) -> None:
    today = timezone.now().date()
    bill("AWS", through=today - timedelta(days=9), run=costs.run)
    bill("OpenAI", through=today, run=costs.run, status="refused")
    bill("Google", through=today, run=costs.run, rejected=3)
    Import.objects.create(source=make_source("Mistral"), status="loaded", file_name="bill.csv")
    client = Client()
    client.force_login(make_user(Role.TEAM_LEAD, teams=[make_team("support")]))

    advice = [text for _, text in parts(client, "/showback/support/") if text]

    assert advice == [
        "no newer bill of AWS has arrived, ask finance for it",
        "its bill is not in these figures, ask finance for it",
        "3 rows of the newest Google bill are not in these figures, ask finance",
        "the newest OpenAI bill is not in these figures, ask finance when it will be",
        "features and models show once programs send spans, ask on-call",
    ]


def test_a_refused_first_bill_is_not_called_unallocated(costs: Costs) -> None:
    Import.objects.create(source=make_source("Azure"), status="refused", file_name="bill.csv")
    Import.objects.create(source=make_source("Mistral"), status="loaded", file_name="bill.csv")

    texts = [text for text, _ in parts(client_of(Role.FINANCE))]

    assert "Azure is not allocated" not in texts
    assert "Mistral is not allocated" in texts


def test_a_portal_without_anything_says_so() -> None:
    assert dict(parts(client_of(Role.FINANCE))) == {
        "No bills yet": "import a bill to see costs",
        "no traces yet": "features and models show once programs send spans, ask on-call",
    }
    assert dict(parts(client_of(Role.ON_CALL), "/on-call/")) == {
        "No bills yet": "costs show once finance has imported a bill",
        "no traces yet": "send spans to /v1/traces to see features and models",
    }


def test_home_leads_to_the_first_page_one_may_open() -> None:
    assert client_of(Role.EXECUTIVE).get("/")["Location"] == "/executive/"
    assert client_of(Role.ON_CALL).get("/")["Location"] == "/on-call/"


def test_someone_without_a_role_is_told_whom_to_ask() -> None:
    client = Client()
    client.force_login(make_user())

    response = client.get("/")

    assert (response.status_code, b"No role yet" in response.content) == (403, True)


def test_sign_in_and_errors_wear_the_same_style() -> None:
    login, missing = Client().get("/accounts/login/"), client_of(Role.EXECUTIVE).get("/nowhere/")

    for response in (login, missing):
        assert "css/apportion" in response.content.decode()
    assert missing.status_code == 404


def test_pages_carry_no_inline_style_or_script(costs: Costs) -> None:
    client = client_of(Role.FINANCE)
    for page in ("/executive/", "/showback/", "/showback/search/", "/chargeback/"):
        text = client.get(page).content.decode()
        assert " style=" not in text, page
        assert "<style" not in text, page
        assert " onclick=" not in text, page


def test_the_top_bar_offers_what_the_page_heeds_and_keeps_the_rest(costs: Costs) -> None:
    client = client_of(Role.FINOPS_ADMIN)
    view = f"?period={costs.month:%Y-%m}&currency=USD&compare=year&team=search"

    executive = client.get(f"/executive/{view}").content.decode()
    reconciliation = client.get(f"/reconciliation/{view}").content.decode()
    admin = client.get(f"/admin/{view}").content.decode()

    assert '<select name="compare">' in executive
    assert '<select name="period">' in reconciliation
    assert '<select name="team">' not in reconciliation
    for name, value in (("compare", "year"), ("team", "search"), ("currency", "USD")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in reconciliation
    assert "data-state-bar" not in admin
    assert "compare=year" in admin  # in the links of the rail


@pytest.mark.parametrize(
    ("address", "page"),
    [
        ("/drivers/upload/series/", "/drivers/"),
        ("/drivers/allocate/", "/drivers/"),
        ("/imports/upload/", "/imports/"),
        ("/ownership/preview/", "/ownership/"),
        ("/ownership/apply/", "/ownership/"),
        ("/ownership/unowned/accept/", "/ownership/unowned/"),
        ("/rules/edit/preview/", "/rules/edit/"),
        ("/rules/previews/1/apply/", "/rules/"),
        ("/admin/users/", "/admin/"),
        ("/admin/keys/", "/admin/"),
        ("/admin/keys/1/revoke/", "/admin/"),
    ],
)
def test_the_address_of_a_form_leads_back_to_its_page(address: str, page: str) -> None:
    client = client_of(Role.FINOPS_ADMIN)

    answer = client.get(f"{address}?period=2026-10")

    assert (answer.status_code, answer["Location"]) == (303, f"{page}?period=2026-10")
    assert client.put(address).status_code == 405
