"""The commands that bring driver files in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from allocation.models import (
    Import,
)
from portal.errors import Refused
from portal.ingest.drivers.series import SERIES
from tests.portal.ingest.drivers.files import (
    GPU_HEADER,
    OPENAI_RESULT,
    openai_page,
    report,
    send,
    series,
)

OWNERS = "provider,kind,value,team,feature,valid_from\n"
RATE_HEADER = "month,base,quote,rate,source\n"
pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_commands_print_one_object_and_refuse_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, text: str, *arguments: str) -> dict[str, Any]:
        file = tmp_path / "delivered.csv"
        file.write_text(text)
        names = ["seats"] if name == "import_series" else []
        call_command(name, *names, str(file), *arguments, "--json")
        found = json.loads(capsys.readouterr().out)
        assert isinstance(found, dict)
        return found

    seats = run("import_series", "team,quantity\nsearch,10\n", "--month", "2026-10")
    assert (seats["status"], seats["changes"][0]["quantity"]) == (
        "loaded",
        {"before": "0", "after": "10"},
    )
    assert (
        run("import_gpu_usage", GPU_HEADER + "2026-10-14T09:00:00Z,west,n1,,,H100,,28800,,\n")[
            "status"
        ]
        == "loaded"
    )
    page = json.dumps(openai_page(OPENAI_RESULT))
    assert run("import_provider_usage", page, "--provider", "openai")["rows_read"] == 1
    owners = OWNERS + "openai,api_key,key_1,search,,2026-01-01\n"
    assert run("import_identity_owners", owners, "--dry-run")["status"] == "preview"
    assert run("import_identity_owners", owners)["status"] == "loaded"
    assert run("import_rates", RATE_HEADER + "2026-10,EUR,USD,1.1,ECB\n")["status"] == "loaded"
    with pytest.raises(SystemExit) as left:
        run("import_rates", RATE_HEADER + "2026-10,EUR,USD,x,ECB\n")
    assert left.value.code == 1
    refused = json.loads(capsys.readouterr().out)
    assert refused["rejected"][0]["line"] == 2


def test_a_door_refuses_what_it_can_not_name() -> None:
    for name in ("", "a\nb", "x" * 101):
        with pytest.raises(Refused):
            send(series(name), "team,quantity\nsearch,1\n")
    with pytest.raises(Refused):
        send((SERIES, {"name": "seats"}), "team,quantity\nsearch,1\n")
    with pytest.raises(Refused):
        send(report(" "), "day,model\n2026-10-01,gpt-5\n")
    assert not Import.objects.exists()
