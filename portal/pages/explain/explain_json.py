"""An explanation for programs: exact amounts as strings, the currency once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from portal.pages.explain.explanation import Explanation, rule_number
from portal.pages.frame.state import PageState
from reports.analysis.arithmetic import NotTheAmount, Step, steps
from reports.queries.explain.amount import ExplainedDay, ExplainedLine, GroupPart
from reports.queries.explain.evidence import BillRow
from reports.readable import exact

# Whose the bill line is says nothing to a reader of some teams but other teams' names.
OWNER_KEYS = ("owner", "target", "rung", "split", "pools")


def as_json(found: Explanation, state: PageState) -> dict[str, Any]:
    run, line = found.run, found.line
    return {
        "amount": exact(found.total),
        "currency": state.currency,
        "metric": state.metric,
        "period": state.period.words,
        "parts": [
            {
                "rule": part.rule,
                "charge_kind": part.charge_kind,
                "evidence": part.evidence,
                "reason": part.reason,
                "source": part.source,
                "amount": exact(part.amount),
            }
            for part in found.parts
        ],
        "lines": [line_json(one, state) for one in found.lines],
        "line": None
        if line is None or run is None
        else {
            **line_json(line, state),
            "rule_number": rule_number(found),
            "rule_set": run.rule_set.number,
            "rule_set_sha256": run.rule_set.content_sha256,
            "run_sha256": run.sha256,
            "days": [day_json(line.method, day, found.group_parts[day.day]) for day in found.days],
        },
        "bill_rows": None
        if not found.may_see_bill
        else [bill_json(row) for row in found.bill_rows or []],
        "traces": [
            {"trace_id": trace.trace_id.hex, "day": trace.span_day.isoformat()}
            for trace in found.traces
        ],
    }


def line_json(line: ExplainedLine, state: PageState) -> dict[str, Any]:
    key = json.loads(line.split_key)
    if not state.reader_scope.is_everything:
        key = {name: value for name, value in key.items() if name not in OWNER_KEYS}
    return {
        "run": line.run,
        "split_key_id": line.split_key_id,
        "rule": line.rule,
        "method": line.method,
        "source": line.source,
        "provider_name": line.provider_name,
        "service_name": line.service_name,
        "split_key": key,
        "amount": exact(line.amount),
    }


def day_json(method: str, day: ExplainedDay, parts: Sequence[GroupPart]) -> dict[str, Any]:
    """The steps, in order, give the amount to the last digit; null where no steps are known."""
    try:
        found: list[dict[str, Any]] | None = [step_json(step) for step in steps(method, day, parts)]
    except NotTheAmount:
        found = None
    return {
        "day": day.day.isoformat(),
        "charge_kind": day.charge_kind,
        "evidence": day.evidence,
        "amount": exact(day.amount),
        "charges": day.charges,
        "group_amount": exact(day.group_amount),
        "driver": day.driver,
        "driver_quantity": exact(day.driver_quantity) or None,
        "driver_total": exact(day.driver_total) or None,
        "coverage": exact(day.coverage) or None,
        "widened": day.widened,
        "note": day.note,
        "steps": found,
    }


def step_json(step: Step) -> dict[str, Any]:
    return {
        "label": step.label,
        "kind": step.kind,
        "value": exact(step.value),
        "of": exact(step.of) or None,
        "unit": step.unit,
        "places": step.places,
    }


def bill_json(row: BillRow) -> dict[str, Any]:
    return {
        "file": row.file_name,
        "line": row.line,
        "charge_period_start": row.charge_period_start.isoformat(),
        "charge_period_end": row.charge_period_end.isoformat(),
        "billed_cost": exact(row.billed_cost),
        "effective_cost": exact(row.effective_cost),
        "description": row.description,
        "sku": row.sku,
        "resource": row.resource,
        "sub_account": row.sub_account,
        "invoice_id": row.invoice_id,
    }
