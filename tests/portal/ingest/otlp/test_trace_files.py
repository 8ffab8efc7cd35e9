"""manage.py import_traces: the shapes of files, and what is said about them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.core.management import call_command

from allocation.models import Import, RejectedRow
from portal.accounts.keys import create_key, key_from_request, revoke_key
from portal.ingest.otlp.http.senders import NoSender, sender_of
from tests.portal.ingest.otlp.sending import NOW, protobuf, request, rows, span, totals

pytestmark = pytest.mark.django_db(databases=["default", "owner"])


@pytest.fixture(autouse=True)
def frozen_clock() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def run(path: Path) -> tuple[int, dict[str, Any], str]:
    """(exit status, JSON, what stood on standard error)."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        with redirect_stderr(err):
            call_command("import_traces", str(path), "--json", stdout=out, stderr=err)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, json.loads(out.getvalue()), err.getvalue()


SPANS = [span(1), span(2, trace=2), span(3, trace=3)]
LINES = "\n".join(json.dumps(request([each])) for each in SPANS) + "\n"
FILES = {
    "request.json": json.dumps(request(SPANS)).encode(),
    "pretty.json": json.dumps(request(SPANS), indent=2).encode(),
    "collector.jsonl": LINES.encode(),
    "blank-lines.jsonl": LINES.replace("\n", "\n\n").encode(),
    "request.pb": protobuf(SPANS),
    "collector.jsonl.gz": gzip.compress(LINES.encode()),
    "request.pb.gz": gzip.compress(protobuf(SPANS)),
}


@pytest.mark.parametrize("name", FILES)
def test_every_shape_of_file_is_loaded_once(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])

    status, outcome, _ = run(path)
    again = run(path)[1]

    assert status == 0
    assert {key: outcome[key] for key in outcome if key.startswith(("status", "spans"))} == {
        "status": "loaded",
        "spans_read": 3,
        "spans_stored": 3,
        "spans_duplicate": 0,
        "spans_rejected": 0,
        "spans_outside_window": 0,
    }
    assert (again["status"], again["spans_stored"], again["spans_duplicate"]) == ("unchanged", 0, 3)
    assert totals() == {"spans": 3, "calls": 3, "input": 300, "output": 60}
    assert Import.objects.filter(kind="traces", rows_loaded=3, rows_duplicate=0).count() == 1


def test_rejected_spans_are_listed_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text(
        json.dumps(request([span(1)]))
        + "\n"
        + json.dumps(request([span(2, spanId="12"), span(3)]))
        + "\n"
    )

    status, outcome, _ = run(path)

    assert status == 0
    assert (outcome["spans_read"], outcome["spans_stored"], outcome["spans_rejected"]) == (3, 2, 1)
    assert outcome["rejected"] == [{"line": 2, "reason": "span id is not 8 bytes, or all zero"}]
    assert RejectedRow.objects.get().line == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LINES.encode() + b'{"resourceSpans": [\n', "line 4: the body is not JSON"),
        (gzip.compress(LINES.encode())[:-20], "ended before the end-of-stream marker"),
        (b"\x00\x01\x02", "not an OTLP ExportTraceServiceRequest"),
        (b"{]", "the body is not JSON"),
    ],
)
def test_damaged_files_are_refused_by_name_and_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(content)

    status, outcome, err = run(path)

    assert status == 1
    assert outcome["status"] == "refused"
    assert str(path) in err
    assert said in err
    assert Import.objects.get().status == "refused"


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path / "nothing.json")[0] == 1
    assert rows("SELECT count(*) FROM span") == [(0,)]


def test_prices_are_imported_once() -> None:
    out = io.StringIO()
    call_command("import_prices", "--json", stdout=out)
    again = io.StringIO()
    call_command("import_prices", "--json", stdout=again)

    first, second = json.loads(out.getvalue()), json.loads(again.getvalue())
    assert (first["status"], second["status"]) == ("loaded", "unchanged")
    assert first["version"] == second["version"]
    assert first["prices"] > first["undated"] > 1000


def test_receiver_finds_the_same_keys_as_the_api(rf: Any) -> None:
    made = {
        "ingest": create_key("a", "ingest", None, None),
        "admin": create_key("b", "admin", None, None),
        "read": create_key("c", "read", None, None),
        "expired": create_key("d", "ingest", None, None, NOW),
        "revoked": create_key("e", "ingest", None, None),
    }
    revoke_key(made["revoked"][0], None)

    found = {}
    for name, (key, secret) in made.items():
        asked = rf.post("/v1/traces", headers={"authorization": f"Bearer {secret}"})
        sender = sender_of(asked)
        found[name] = not isinstance(sender, NoSender)
        assert found[name] == (key_from_request(asked, ["ingest", "admin"]) == key)
    assert found == {
        "ingest": True,
        "admin": True,
        "read": False,
        "expired": False,
        "revoked": False,
    }
