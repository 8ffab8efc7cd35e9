"""What holds of every kind of driver file, and that one is added by one folder alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from allocation.models import DriverPoint, Import
from portal.accounts.keys import create_key
from portal.accounts.models import Role
from portal.ingest.drivers.kinds import KINDS, DriverKind, driver_kinds
from portal.ingest.drivers.table import Problems
from tests.factories import client_of
from tests.folders import one_more_folder

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

# Seats as a directory service lists them: one line a person, counted by department.
DIRECTORY = """
from collections import Counter

from allocation.models import DriverPoint
from portal.errors import Refused
from portal.ingest.drivers.kinds import Ask, DeliveredRow, DriverKind, Scope, months_of
from portal.ingest.drivers.table import FileColumn, name_text, read_table

COLUMNS = (
    FileColumn("person", name_text, needed=True),
    FileColumn("department", name_text, needed=True),
)


def understand(asked):
    if not asked.get("licence"):
        raise Refused("a list of persons needs its licence")
    return asked


def read(content, asked, problems):
    seats = Counter(line.values["department"] for line in read_table(content, COLUMNS, problems))
    told = {"series": f"{asked['licence']} seats", "month": asked["month"]}
    return [
        DeliveredRow(number, DriverPoint(team=team, quantity=count, **told))
        for number, (team, count) in enumerate(sorted(seats.items()), start=2)
    ]


DIRECTORY = DriverKind(
    name="directory",
    label="Directory",
    help="CSV of persons and departments.",
    model=DriverPoint,
    asks=(Ask("licence", "Such as copilot."), Ask("month", is_month=True)),
    understand=understand,
    read=read,
    key=("team",),
    compared=("quantity",),
    scope=lambda row: Scope(row.series, f"{row.month:%Y-%m}", f"{row.month:%Y-%m}"),
    stored=lambda rows: DriverPoint.objects.filter(series__in={row.series for row in rows}),
    months=lambda rows: months_of(row.month for row in rows),
    measure=lambda row: row.quantity,
)
"""
PERSONS = "person,department\nann,search\nben,search\ncem,sales\n"
SEATS = {("copilot seats", date(2026, 10, 1), "sales", 1)} | {
    ("copilot seats", date(2026, 10, 1), "search", 2)
}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[None]:
    with one_more_folder(KINDS, "directory", DIRECTORY, beside=tmp_path):
        yield


def stored() -> set[tuple[Any, ...]]:
    return set(DriverPoint.objects.values_list("series", "month", "team", "quantity"))


def uploaded(**asked: str) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("persons.csv", PERSONS.encode()), **asked}


# ---------------------------------------------------------------- of every kind


@pytest.mark.parametrize("kind", driver_kinds().values(), ids=lambda kind: kind.name)
def test_a_kind_says_what_it_is_by_its_model_s_fields(kind: DriverKind) -> None:
    fields = {field.name for field in kind.model._meta.get_fields()}

    assert kind.name.isidentifier()
    assert kind.label
    assert kind.help.endswith(".")
    assert {*kind.key, *kind.compared} <= fields
    assert not set(kind.key) & set(kind.compared)
    assert len({ask.name for ask in kind.asks}) == len(kind.asks)


@pytest.mark.parametrize("kind", driver_kinds().values(), ids=lambda kind: kind.name)
def test_a_kind_refuses_a_table_of_something_else(kind: DriverKind) -> None:
    asked = {"name": "seats", "month": date(2026, 10, 1), "provider": "openai"}

    with pytest.raises(Exception, match="is not known; the file has"):
        kind.read(b"colour,shape\nred,round\n", kind.understand(asked), Problems())


def test_kinds_stand_in_the_order_in_which_people_read_them() -> None:
    assert list(driver_kinds()) == [
        "series",
        "gpu_usage",
        "provider_usage",
        "identity_owners",
        "exchange_rates",
    ]


# ---------------------------------------------------------------- one folder more


def test_a_kind_is_added_by_one_folder(directory: None, tmp_path: Path) -> None:
    path, out = tmp_path / "persons.csv", io.StringIO()
    path.write_text(PERSONS, encoding="utf-8")
    options = ["--licence", "copilot", "--month", "2026-10", "--json"]

    call_command("import_driver", "directory", str(path), *options, stdout=out)

    told = json.loads(out.getvalue())
    assert (told["kind"], told["status"], told["rows_read"]) == ("directory", "loaded", 2)
    assert told["changes"][0]["quantity"] == {"before": "0", "after": "3"}
    assert stored() == SEATS
    assert Import.objects.get(pk=told["import"]).kind == "directory"


def test_an_added_kind_is_taken_by_page_and_api(directory: None) -> None:
    _, secret = create_key("pipeline", "admin", None, None)
    admin, key = client_of(Role.FINOPS_ADMIN), {"authorization": f"Bearer {secret}"}

    page = admin.get("/drivers/?open=directory").content.decode()
    posted = admin.post("/drivers/upload/directory/", uploaded(licence="copilot", month="2026-10"))
    sent = Client().post(
        "/api/v1/drivers/directory/",
        uploaded(licence="copilot", month="2026-10"),
        headers=key,
    )
    refused = Client().post("/api/v1/drivers/directory/", uploaded(), headers=key)

    assert 'id="directory-licence"' in page
    assert "Load directory" in page
    assert (posted.status_code, stored()) == (200, SEATS)
    assert (sent.status_code, sent.json()["status"]) == (200, "unchanged")
    assert refused.json() == {"file": ["a list of persons needs its licence"]}


def test_a_kind_that_no_folder_registers_is_not_there() -> None:
    _, secret = create_key("pipeline", "admin", None, None)
    key = {"authorization": f"Bearer {secret}"}

    sent = Client().post("/api/v1/drivers/directory/", uploaded(), headers=key)
    posted = client_of(Role.FINOPS_ADMIN).post("/drivers/upload/directory/", uploaded())

    assert (sent.status_code, posted.status_code) == (404, 404)
