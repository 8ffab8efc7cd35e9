"""A draft of rules that was previewed: what it would move from one team to the other."""

from __future__ import annotations

from datetime import timedelta

import yaml

from allocation import models as ledger
from tests.portal.canaries import ALPHA, BRAVO, MONTH, NOON


def rules_named(name: str) -> str:
    rule = {
        "name": name,
        "when": {"ChargeCategory": "Usage"},
        "method": "direct",
        "target": {"team": "alpha"},
    }
    return yaml.safe_dump({"version": 1, "scope": [], "rules": [rule]})


def rule_preview(rules: ledger.RuleSet, text: str | None) -> ledger.RulePreview:
    """A draft that would move all that alpha pays to bravo."""
    amount = str(ALPHA.amount)
    amounts = {
        "billed_before": "0",
        "billed_after": amount,
        "effective_before": "0",
        "effective_after": amount,
    }
    back = {
        "billed_before": amount,
        "billed_after": "0",
        "effective_before": amount,
        "effective_after": "0",
    }
    named = {"currency": "USD", "owner": None, "reason": None}
    lines = [
        {**named, "name": text or BRAVO.word, **amounts},
        {**named, "name": text or ALPHA.word, **back},
    ]
    reach = {
        "currency": "USD",
        "charges": 2,
        "billed_cost": str(BRAVO.amount),
        "effective_cost": str(BRAVO.amount),
    }
    about = {"source": text or "cloud", "provider": text or "AWS", "service": text or BRAVO.word}
    about |= {"category": "Usage", "reason": "no rule"}
    month = {**lines[0], "name": "2026-10", "moved": {"billed_cost": "1", "effective_cost": "1"}}
    finding = {
        "level": "warning",
        "subject": text or "rule",
        "what": text or "x",
        "remedy": text or "y",
        "line": 1,
    }
    tried = {
        "reach": [{"rule": text or BRAVO.word, **reach}],
        "unmatched": [{**about, **reach}],
        "findings": [finding],
    }
    return ledger.RulePreview.objects.create(
        text=rules_named(text or BRAVO.word),
        content_sha256="2" * 64,
        effective_from=MONTH,
        base_number=rules.number,
        months=["2026-10"],
        outcome={
            "runs": [{"month": "2026-10", "currency": "USD", "sha256": "3" * 64}],
            "differences": {
                **dict.fromkeys(("team", "product", "model", "feature"), lines),
                "month": [month],
            },
            "rules": [{"month": "2026-10", **tried}],
        },
        created_by=text or "ada",
        created_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )
