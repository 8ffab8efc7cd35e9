"""What holds of every kind of chargeback file, and that one is added by one folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from allocation.values.periods import Period
from portal.accounts.keys import create_key
from portal.accounts.models import Role
from portal.exports import EXPORTS, export_formats
from reports.asking import TeamScope
from reports.exports.format import ExportFormat, NotAllocated
from tests.factories import Costs, client_of
from tests.folders import one_more_folder

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

OCTOBER = Period.parse("2026-10")
TALLY = """
from django.db import connection

from reports.exports.format import ExportFormat, NotAllocated


def tally(*, period, scope):
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(billed_cost) FROM cost_daily WHERE day >= %s", [period.start])
        (total,) = cursor.fetchone()
    if total is None:
        raise NotAllocated(f"{period} is not allocated yet")
    return iter([f"{period} ".encode(), f"{total.normalize():f}".encode()])


TALLY = ExportFormat("tally", "tally", "text/plain", tally)
"""


@pytest.fixture
def tally(tmp_path: Path) -> Iterator[None]:
    with one_more_folder(EXPORTS, "tally", TALLY, beside=tmp_path):
        yield


@pytest.mark.parametrize("spec", export_formats().values(), ids=lambda spec: spec.name)
def test_a_format_says_what_it_is_and_refuses_a_month_without_runs(spec: ExportFormat) -> None:
    assert spec.name.isalnum()
    assert spec.name.islower()
    assert spec.label
    assert "/" in spec.content_type
    with pytest.raises(NotAllocated):
        spec.write(period=OCTOBER, scope=TeamScope.everything())


def test_a_format_is_added_by_one_folder(tally: None, tmp_path: Path) -> None:
    Costs(date(2026, 10, 1)).add(1, "10.5", team="search")
    output = tmp_path / "october.tally"
    _, secret = create_key("pipeline", "read", None, None)
    finance = client_of(Role.FINANCE)

    options = ["2026-10", "--format", "tally", "--output", str(output)]
    call_command("export_chargeback", *options)
    page = finance.get("/chargeback/?period=2026-10").content.decode()
    file = finance.get("/chargeback/lines.tally?period=2026-10")
    sent = Client().get(
        "/api/v1/chargeback/?period=2026-10&export=tally",
        headers={"authorization": f"Bearer {secret}"},
    )

    assert output.read_text() == "2026-10 10.5"
    assert "tally, every line</a>" in page
    assert b"".join(file.streaming_content) == b"2026-10 10.5"  # type: ignore[attr-defined]
    assert file.headers["Content-Disposition"].endswith('"chargeback-2026-10.tally"')
    assert b"".join(sent.streaming_content) == b"2026-10 10.5"  # type: ignore[attr-defined]


def test_a_format_that_no_folder_registers_is_not_there() -> None:
    Costs(date(2026, 10, 1)).add(1, "10.5", team="search")

    file = client_of(Role.FINANCE).get("/chargeback/lines.tally?period=2026-10")

    assert file.status_code == 404
