"""What each amount is for: build, run or move, said by rules where calls and targets don't."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from tests.allocation.bills import AWS, OPENAI, Bill, allocate, put_in_force, usage

pytestmark = pytest.mark.django_db

TOKENS: dict[str, Any] = {**OPENAI, "sku_meter": "gpt-4o input tokens"}
SAGEMAKER = {
    **AWS,
    "service_name": "Amazon SageMaker",
    "service_category": "AI and Machine Learning",
    "tags": {"team": "search"},
}
STORED = "USE1-TimedStorage-ByteHrs"


def by_phase(column: str = "team") -> dict[tuple[str | None, str | None], Decimal]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column}, phase, sum(billed_cost) FROM cost_daily GROUP BY 1, 2")
        return {(name, phase): cost for name, phase, cost in cursor.fetchall()}


def test_every_ai_amount_has_a_phase_by_the_built_in_rules() -> None:
    bill = Bill("aws")
    bill.charge("30", **SAGEMAKER, sku_meter="USE1-Train:ml.p4d.24xlarge")
    bill.charge("20", **SAGEMAKER, sku_meter="USE1-Host:ml.g5.xlarge")
    bill.charge("10", **SAGEMAKER | {"tags": None}, sku_meter="USE1-Notebk:ml.t3.medium")
    bucket = {"service_name": "S3", "service_category": "Storage", "tags": {"feature": "rag"}}
    bill.charge("5", **AWS | bucket, sku_meter=STORED)
    bill.charge("7", **AWS | {"service_name": "S3"}, sku_meter=STORED)

    allocate()

    assert by_phase("ai_scope") == {
        ("ai", "build"): Decimal(40),
        ("ai", "run"): Decimal(20),
        ("ai_supporting", "move"): Decimal(5),
        ("other", None): Decimal(7),
    }


def test_what_a_call_says_comes_before_the_rules() -> None:
    usage("search", input_uncached=300)
    usage("ads", input_uncached=700, about={"phase": "build"})
    Bill().charge("10", quantity="1000", **TOKENS)

    allocate()

    assert by_phase() == {("search", "run"): Decimal(3), ("ads", "build"): Decimal(7)}


def test_a_tax_is_for_what_it_is_on() -> None:
    bill = Bill("aws")
    bill.charge("30", **SAGEMAKER, sku_meter="USE1-Train:ml.p4d.24xlarge")
    bill.charge("10", **SAGEMAKER, sku_meter="USE1-Host:ml.g5.xlarge")
    bill.charge("4", category="Tax", **SAGEMAKER | {"tags": None})

    allocate()

    assert by_phase("charge_kind") == {
        ("direct", "build"): Decimal(30),
        ("direct", "run"): Decimal(10),
        ("tax", "build"): Decimal(3),
        ("tax", "run"): Decimal(1),
    }


def test_rules_without_the_section_say_no_phase() -> None:
    put_in_force("rules: [{name: all, method: direct, target: {team: search}}]")
    Bill("aws").charge("30", **SAGEMAKER, sku_meter="USE1-Train:ml.p4d.24xlarge")

    allocate()

    assert by_phase() == {("search", None): Decimal(30)}
