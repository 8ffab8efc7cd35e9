"""The organisation's own catalogue: CSV in and out, versions, and what it changes in a run."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import call_command

from allocation.catalogue.entries import Entry
from allocation.catalogue.own_entries import (
    CatalogueError,
    apply_catalogue,
    catalogue_csv,
    own_catalogue,
    read_catalogue,
)
from allocation.models import AllocationRun, CatalogueVersion
from portal.accounts.models import AuditEntry
from tests.allocation.bills import OPENAI, Bill, allocate, usage, utc
from tests.allocation.runs.test_methods import by_team, money, rules, teams

HEADER = "side,seen_provider,pattern,provider,model,token_class,tier\n"
OWN = (
    Entry("bill", "openai", "chat-prod", model="gpt-4o", token_class="input"),
    Entry("trace", None, "^prod, (eu|us)$", model="gpt-4o"),
    Entry("trace", "acme", "nightly", provider="openai", model="gpt-4o", tier="batch"),
)


def test_what_is_exported_is_what_was_applied() -> None:
    assert read_catalogue(catalogue_csv(OWN)) == OWN


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1: the columns are side"),
        ("side,pattern\nbill,x\n", "line 1: the columns are side"),
        (HEADER + "bill,,x,,gpt-4o\n", "line 2: it needs 7 cells"),
        (HEADER + "invoice,,x,,gpt-4o,,\n", "line 2: side is bill, trace, unit"),
        (HEADER + "bill,,,,gpt-4o,,\n", "line 2: it needs a pattern"),
        (HEADER + "bill,,(,,gpt-4o,,\n", "line 2: '(' is no RE2 pattern"),
        (HEADER + "bill,,x,,,,\n", "line 2: it needs a meaning"),
        (HEADER + "bill,,x,,,nothing,\n", "line 2: token_class is, on bills only, one of"),
        (HEADER + "trace,,x,,,input,\n", "line 2: token_class is, on bills only, one of"),
        (HEADER + "bill,,x,,,,fast\n", "line 2: tier is one of"),
        (HEADER + "bill,,=x,,gpt-4o,,\n", "line 2: no cell starts with"),
        (HEADER + 'bill,,"x,,gpt-4o,,\n', "unexpected end of data"),
    ],
)
def test_errors_name_the_line_and_what_is_wrong(text: str, problem: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(text)

    assert any(problem in found for found in caught.value.problems), caught.value.problems


@pytest.mark.django_db
def test_versions_grow_and_equal_entries_make_none() -> None:
    first, is_new = apply_catalogue(entries=OWN, acting_user="ann", note="names of our deployments")
    again = apply_catalogue(entries=OWN, acting_user=None)
    emptied, _ = apply_catalogue(entries=(), acting_user=None)

    assert is_new
    assert first is not None
    assert emptied is not None
    assert again == (first, False)
    assert (first.number, emptied.number, own_catalogue().entries) == (1, 2, ())
    assert first.entries.count() == len(OWN)


@pytest.mark.django_db
def test_entries_join_a_bill_and_traces_that_the_built_in_wording_does_not_know() -> None:
    teams("a", "b", "c")
    rules("rules: [{name: calls, method: traced_usage}]")
    usage("a", model="prod, eu", input_uncached=300, at=utc(5))
    usage("b", model="gpt-4o", input_uncached=100, at=utc(5))
    usage("c", model="o1", input_uncached=400, at=utc(5))
    Bill().charge("40", at=utc(5), quantity="400", **(OPENAI | {"sku_meter": "chat-prod"}))
    allocate()
    before = by_team()

    apply_catalogue(entries=OWN, acting_user=None)
    allocate()

    assert before == {"unknown wording": Decimal(40)}  # nothing known but the provider
    assert by_team() == money(a="30", b="10")


@pytest.mark.django_db
def test_a_run_names_the_catalogue_and_is_made_again_only_when_it_changed() -> None:
    usage("a", input_uncached=300, at=utc(5))
    Bill().charge("40", at=utc(5), quantity="300", **(OPENAI | {"sku_meter": "gpt-4o, input"}))
    allocate()
    assert allocate().runs[0].reused

    apply_catalogue(entries=OWN, acting_user=None)
    outcome = allocate()

    assert not outcome.runs[0].reused
    assert AllocationRun.objects.get(is_current=True).inputs["catalogue"] == own_catalogue().sha256


@pytest.mark.django_db(databases=["default", "owner"])
def test_the_command_exports_and_applies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.csv"
    file.write_text(catalogue_csv(OWN), encoding="utf-8")

    call_command("catalogue", "apply", str(file), "--note", "first", "--json")
    applied = json.loads(capsys.readouterr().out)
    call_command("catalogue", "export")
    exported = capsys.readouterr().out

    assert applied == {"catalogue": 1, "status": "applied", "entries": 3}
    assert read_catalogue(exported) == OWN
    assert CatalogueVersion.objects.get().note == "first"
    assert AuditEntry.objects.get(action="apply catalogue").subject == "catalogue 1"

    file.write_text(HEADER + "bill,,(,,x,,\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        call_command("catalogue", "apply", str(file))
    assert "line 2" in capsys.readouterr().err
