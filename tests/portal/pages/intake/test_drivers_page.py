"""The drivers page and its API: who sees and changes driver data, and what they are told."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import expect
from pytest_django.live_server_helper import LiveServer

from allocation.models import DriverPoint, Import, ProviderUsage
from portal.accounts.keys import create_key
from portal.accounts.models import AuditEntry, Role
from portal.jobs.models import Job
from tests.factories import Costs, client_of
from tests.portal.browser import Walk, chromium, new_context, open_page, sign_in
from tests.portal.two_teams import one_person_per_role, seed_company

SEATS = "team,quantity\nsearch,10\nsales,2.5\n"
UPLOAD = "/drivers/upload/series/"


def file(text: str = SEATS) -> SimpleUploadedFile:
    return SimpleUploadedFile("seats.csv", text.encode())


def seats(text: str = SEATS, **values: str) -> dict[str, object]:
    return {"name": "seats", "month": "2026-10", "file": file(text), **values}


@pytest.mark.django_db
def test_an_upload_says_what_changed_and_which_month_wants_allocation() -> None:
    Costs(date(2026, 10, 1)).add(1, "10", team="search")
    client = client_of(Role.FINOPS_ADMIN)

    answer = client.post(UPLOAD, seats())

    body = answer.content.decode()
    assert answer.status_code == 200
    for fact in ("Loaded.", "seats, 2026-10", "12.5", "Allocate October 2026 again"):
        assert fact in body
    assert client.post("/drivers/allocate/", {"month": "2026-10"}).status_code == 302
    assert Job.objects.get().payload == {"period": "2026-10"}
    assert (
        "Unchanged: it holds what is there already."
        in client.post(UPLOAD, seats()).content.decode()
    )
    assert AuditEntry.objects.get(action="driver series loaded").actor
    loaded = Import.objects.order_by("pk")[0]
    page = client.get(f"/imports/{loaded.pk}/").content.decode()
    assert "What did it change?" in page
    # Nothing was there, which is not a zero.
    assert re.search(r'<td class="num" data-label="Quantity before">\s*–\s*</td>', page)


@pytest.mark.django_db
def test_owners_of_identities_have_no_quantity_to_tell() -> None:
    client = client_of(Role.FINOPS_ADMIN)
    owners = (
        "provider,kind,value,team,feature,valid_from\nopenai,api_key,key_1,search,,2026-01-01\n"
    )

    answer = client.post("/drivers/upload/identity_owners/", {"file": file(owners)})

    assert answer.status_code == 200
    assert "+ openai api_key key_1 2026-01-01: search" in answer.content.decode()
    assert "Quantity before" not in answer.content.decode()
    assert client.get(f"/imports/{Import.objects.get().pk}/").status_code == 200


@pytest.mark.django_db
def test_a_refused_form_keeps_what_was_typed() -> None:
    answer = client_of(Role.FINOPS_ADMIN).post(UPLOAD, seats("team,quantity\nsearch,NaN\n"))

    assert answer.status_code == 400
    assert 'value="seats"' in answer.content.decode()
    assert 'value="2026-10"' in answer.content.decode()


@pytest.mark.django_db
def test_a_refused_upload_names_each_bad_row() -> None:
    client = client_of(Role.FINOPS_ADMIN)

    answer = client.post(UPLOAD, seats("team,quantity\nsearch,-1\n<b>,x\n"))

    body = answer.content.decode()
    assert answer.status_code == 400
    for fact in (
        "negative: a quantity is zero or more",
        "not a number",
        "quantity",
        "nothing was replaced",
    ):
        assert fact in body
    assert "<b>" not in body
    assert not DriverPoint.objects.exists()
    for wrong in ({"month": "2026-13"}, {"name": ""}, {"month": ""}):
        assert client.post(UPLOAD, seats(**wrong)).status_code == 400
    assert client.post(UPLOAD, {"name": "seats"}).status_code == 400


@pytest.mark.django_db
def test_finance_reads_and_only_finops_admins_change() -> None:
    admin, finance = client_of(Role.FINOPS_ADMIN), client_of(Role.FINANCE)
    admin.post(UPLOAD, seats())

    page = finance.get("/drivers/").content.decode()

    assert "seats" in page
    assert "Load a file" not in page
    assert finance.post(UPLOAD, seats()).status_code == 404
    assert finance.post("/drivers/allocate/", {"month": "2026-10"}).status_code == 404
    assert admin.post("/drivers/upload/bills/", seats()).status_code == 404
    assert client_of(Role.EXECUTIVE).get("/drivers/").status_code == 404


@pytest.mark.django_db
def test_the_api_takes_a_file_and_lists_what_is_known() -> None:
    _, secret = create_key("loader", "ingest", None, None)
    key = {"Authorization": f"Bearer {secret}"}
    usage = "day,model,input_uncached\n2026-10-14,gpt-4o,100\n"

    answer = Client().post(
        "/api/v1/drivers/provider_usage/", {"provider": "openai", "file": file(usage)}, headers=key
    )

    assert (answer.status_code, answer.json()["status"]) == (200, "loaded")
    assert ProviderUsage.objects.get().input_uncached == 100
    refused = Client().post(
        "/api/v1/drivers/series/", seats("team,quantity\nsearch,NaN\n"), headers=key
    )
    assert (refused.status_code, refused.json()["rejected"][0]["line"]) == (422, 2)
    assert (
        Client().post("/api/v1/drivers/series/", {"file": file()}, headers=key).status_code == 400
    )
    assert Client().post("/api/v1/drivers/bills/", seats(), headers=key).status_code == 404
    (line,) = client_of(Role.FINANCE).get("/api/v1/drivers/").json()
    assert (line["kind"], line["subject"], line["quantity"], line["rows"]) == (
        "provider_usage",
        "openai",
        "100",
        1,
    )
    assert client_of(Role.FINANCE).post("/api/v1/drivers/series/", seats()).status_code == 403


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_an_admin_loads_seats_in_a_browser(
    chromium_path: str, live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    seed_company()
    one_person_per_role()
    delivered = tmp_path / "seats.csv"
    delivered.write_text("team,quantity\nalpha,3\nbravo,x\n")
    with chromium(chromium_path) as browser:
        page = new_context(browser).new_page()
        walk = Walk(live_server.url)
        sign_in(page, live_server.url, "finops_admin")
        open_page(walk, page, f"{live_server.url}/drivers/")
        form = page.locator("form[action$='/series/']")
        load = form.get_by_role("button", name="Load usage file")
        form.get_by_label("Name").fill("seats")
        form.get_by_label("Month").fill("2026-10")
        form.get_by_label("File").set_input_files(str(delivered))
        load.click()
        expect(page.locator("#outcome")).to_contain_text("not a number")

        delivered.write_text("team,quantity\nalpha,3\nbravo,4\n")
        form.get_by_label("Name").fill("seats")
        form.get_by_label("File").set_input_files(str(delivered))
        load.click()
        expect(page.locator("#outcome")).to_contain_text("Loaded.")
        expect(page.locator("main")).to_contain_text("Allocate October 2026 again")
    assert walk.problems == []
    assert DriverPoint.objects.filter(series="seats").count() == 2
