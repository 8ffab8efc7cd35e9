"""The three providers' bills: OpenAI (FOCUS 1.2), AWS (FOCUS 1.0, gzip) and Google Cloud (FOCUS
1.3, in euro).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from allocation.values.money import plain
from portal.demo import cases, events
from portal.demo.aws_fleet import aws_lines
from portal.demo.calls import EMBEDDING_MODEL, TrafficDay
from portal.demo.company import PROJECTS
from portal.demo.focus_rows import BillAccount, DemoBillLine, billed_through, focus_csv, gzipped
from portal.demo.google_support import google_lines
from portal.demo.models import MODELS, Model
from portal.demo.prices import CONTRACT, EUR_PER_USD, TOKEN_CLASSES, list_price
from portal.demo.settings import DemoSettings, month_after
from portal.demo.truth import PLAYGROUND, Cause, Truth

OPENAI = BillAccount(
    "openai",
    "1.2",
    "org-Lk93VbTq81xWz0Ey",
    "Larkspur Inc.",
    "USD",
    "OpenAI",
    "OpenAI, LLC",
    "Project",
    lag_days=1,
)
AWS = BillAccount(
    "aws",
    "1.0",
    "410022100001",
    "Larkspur Inc.",
    "USD",
    "AWS",
    "Amazon Web Services, Inc.",
    "AWS account",
    lag_days=1,
)
GOOGLE = BillAccount(
    "google-cloud",
    "1.3",
    "01A7F4-B2C9D0-3E58F1",
    "Larkspur Europe GmbH",
    "EUR",
    "Google Cloud",
    "Google Cloud EMEA Limited",
    "Project",
    lag_days=2,
)
ACCOUNTS = {account.source: account for account in (OPENAI, AWS, GOOGLE)}

_SALES_TAX = {"openai": Decimal("0.0625"), "aws": Decimal("0.018")}
_BATCH_PRICE = Decimal("0.5")
_SUPPORT_SHARE = Decimal("0.045")


@dataclass
class DemoUsage:
    """Tokens by (source, project, day, model, batch or not, class), and in them by cause."""

    tokens: dict[tuple[str, str, date, str, bool, str], dict[Cause, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )

    def add(self, found: TrafficDay) -> None:
        feature, traffic = found.feature, found.traffic
        project = PROJECTS[traffic.project]
        counts = [
            (traffic.model, token_class, tokens) for token_class, tokens in found.tokens.items()
        ]
        counts.append((EMBEDDING_MODEL, "input", found.embedding_tokens))
        for model, token_class, tokens in counts:
            if tokens and MODELS[model].listed:
                key = (project.source, project.key, found.day, model, traffic.batch, token_class)
                self.tokens[key][Cause(feature.team, model, feature.slug)] += tokens

    def add_unseen(self, settings: DemoSettings, days: Iterable[date]) -> None:
        """What no feature calls: staff trying models, and in a case of its own the gateway trying
        its routes.
        """
        self._add_playground(settings, days)
        if settings.case == cases.GATEWAY:
            for (_, project, _, model, _, _), causes in self.tokens.items():
                if project == cases.GATEWAY_PROJECT and model != EMBEDDING_MODEL:
                    causes[Cause(cases.GATEWAY_TEAM, model, None)] += int(
                        sum(causes.values()) * cases.OWN_CALLS
                    )

    def _add_playground(self, settings: DemoSettings, days: Iterable[date]) -> None:
        """Staff trying models by hand: no program, so no trace."""
        if settings.complete:
            return
        for day in days:
            rng = np.random.Generator(np.random.PCG64([settings.seed, day.toordinal(), 9001]))
            for model, tokens in (("gpt-5.4", 2_400_000), ("gpt-4o", 900_000)):
                used = int(
                    tokens
                    * settings.scale
                    * rng.uniform(0.5, 1.4)
                    * (0.2 if day.weekday() >= 5 else 1.0)
                )
                for token_class, count in (("input", used), ("output", used // 12)):
                    if count:
                        key = ("openai", "playground", day, model, False, token_class)
                        self.tokens[key][PLAYGROUND._replace(model=model)] += count


@dataclass(frozen=True)
class DemoBill:
    """One delivered file."""

    source: str
    month: date
    name: str
    content: bytes
    lines: int
    billed: Decimal
    effective: Decimal


def bill_files(
    settings: DemoSettings, usage: DemoUsage, months: Iterable[date], truth: Truth
) -> Iterator[DemoBill]:
    """Every source's bill of these months, and their truth. `usage` must hold the whole of each
    month.
    """
    for month in months:
        for account in ACCOUNTS.values():
            lines = month_lines(settings, usage, account, month, truth)
            if lines:
                yield _file(settings, account, month, lines)


def month_lines(
    settings: DemoSettings, usage: DemoUsage, account: BillAccount, month: date, truth: Truth
) -> list[DemoBillLine]:
    """One bill's lines in the order delivered; adds their causes to the truth."""
    until = min(billed_through(account, settings.now), month_after(month))
    days = [day for day in settings.days if month <= day < until]
    lines = list(_model_lines(usage, account, month, days))
    if account is AWS:
        lines += aws_lines(settings, account, month, days)
    if account is GOOGLE:
        lines += google_lines(account, month, days)
    lines = cases.as_tagged(lines, settings)
    for line in lines:
        _tell(truth, line)
    if lines:
        following = list(_following_lines(settings, account, month, lines))
        followed = truth.weights(month=month, source=account.source)
        for line in following:
            _tell(truth, replace(line, causes=followed))
        lines += following
    return lines


def _tell(truth: Truth, line: DemoBillLine) -> None:
    """A charge of several days belongs to them equally, clipped to its billing period (outside of
    it: to its first day).
    """
    end = month_after(line.month)
    first, until = max(line.start, line.month), min(line.end, end)
    days = [first + timedelta(days=n) for n in range((until - first).days)] or [line.start]
    truth.add(
        month=line.month,
        days=days,
        source=line.account.source,
        currency=line.account.currency,
        costs=line.costs,
        causes=line.causes,
    )


# ---------------------------------------------------------------- model calls


def _model_lines(
    usage: DemoUsage, account: BillAccount, month: date, days: list[date]
) -> Iterator[DemoBillLine]:
    wanted = set(days)
    keys = sorted(key for key in usage.tokens if key[0] == account.source and key[2] in wanted)
    for key in sorted(
        keys, key=lambda key: (key[2], key[1], key[3], key[4], TOKEN_CLASSES.index(key[5]))
    ):
        _, project, day, model, is_batch, token_class = key
        causes = usage.tokens[key]
        yield model_line(account, month, day, project, MODELS[model], token_class, causes, is_batch)


def model_line(
    account: BillAccount,
    month: date,
    day: date,
    project_key: str,
    model: Model,
    token_class: str,
    causes: Mapping[Cause, int],
    is_batch: bool = False,
) -> DemoBillLine:
    """One token class of one model, project and day; batch calls have lines of their own."""
    tokens = sum(causes.values())
    rate = EUR_PER_USD if account.currency == "EUR" else Decimal(1)
    per_million = list_price(model, token_class)
    if per_million is None:
        raise ValueError(f"nobody lists {model.key} {token_class}")
    batch = 1000 if account is AWS else 1_000_000 if account is OPENAI else 1
    listed = per_million * rate * batch / 1_000_000 * (_BATCH_PRICE if is_batch else 1)
    contracted = listed * CONTRACT[account.source]
    quantity = Decimal(tokens) / batch
    cost = contracted * quantity
    project = PROJECTS[project_key]
    wording = _WORDINGS[account.source](model, token_class, is_batch)
    return DemoBillLine(
        account=account,
        month=month,
        start=day,
        end=day + timedelta(days=1),
        category="Usage",
        service=_SERVICES[account.source],
        service_category="AI and Machine Learning",
        description=wording["ChargeDescription"],
        billed=cost,
        effective=cost,
        listed=listed * quantity,
        contracted=cost,
        project=(project.identifier, project.name),
        tags=_OWNED_PROJECTS.get(project_key, {}),
        columns=wording
        | {
            "ConsumedQuantity": str(tokens),
            "ConsumedUnit": "Tokens",
            "PricingQuantity": plain(quantity),
            "PricingUnit": {1: "Tokens", 1000: "1K tokens", 1_000_000: "1M tokens"}[batch],
            "PricingCategory": "Standard",
            "ListUnitPrice": plain(listed),
            "ContractedUnitPrice": plain(contracted),
            "PricingCurrencyListUnitPrice": plain(listed),
            "PricingCurrencyContractedUnitPrice": plain(contracted),
        },
        causes=causes,
    )


_SERVICES = {"openai": "OpenAI API", "aws": "Amazon Bedrock", "google-cloud": "Vertex AI"}

# Accounts and projects that are one team's alone carry its tag; the shared ones can't.
_OWNED_PROJECTS = {
    "gateway": {"team": "ml-platform", "cost_center": "US-5100"},
    "ai-conversations": {"team": "conversations", "cost_center": "US-4100"},
    "docs-prod": {"team": "documents", "cost_center": "DE-7100"},
    "l10n-prod": {"team": "localization", "cost_center": "DE-7100"},
    "compliance-prod": {"team": "compliance", "cost_center": "DE-7200"},
}


def _openai_wording(model: Model, token_class: str, is_batch: bool) -> dict[str, str]:
    meter = {"input": "input", "cache_read": "cached input", "output": "output"}[token_class]
    text = f"{model.billed_as}{' batch' if is_batch else ''}, {meter}"
    return {
        "ChargeDescription": text,
        "SkuMeter": text,
        "SkuId": text.replace(", ", "-").replace(" ", "-"),
        "ServiceSubcategory": "Generative AI",
    }


def _aws_wording(model: Model, token_class: str, is_batch: bool) -> dict[str, str]:
    meter = {
        "input": "input-tokens",
        "cache_read": "cache-read-input-token-count",
        "cache_write": "cache-write-input-token-count",
        "output": "output-tokens",
    }[token_class]
    usage_type = f"USE1-{model.billed_as}-{meter}{'-batch' if is_batch else ''}"
    return {
        "ChargeDescription": f"{usage_type} in US East (N. Virginia)",
        "SkuId": usage_type,
        "RegionId": "us-east-1",
        "RegionName": "US East (N. Virginia)",
        "x_UsageType": usage_type,
        "x_Operation": "InvokeModelInference",
    }


def _google_wording(model: Model, token_class: str, is_batch: bool) -> dict[str, str]:
    meter = {
        "input": "Input Text Tokens",
        "cache_read": "Cached Input Text Tokens",
        "output": "Output Text Tokens",
    }
    text = f"{model.billed_as} {'Batch ' if is_batch else ''}{meter[token_class]}"
    return {
        "ChargeDescription": text,
        "SkuMeter": text,
        "ServiceSubcategory": "Generative AI",
        "RegionId": "europe-west3",
        "RegionName": "Frankfurt",
    }


_WORDINGS = {"openai": _openai_wording, "aws": _aws_wording, "google-cloud": _google_wording}

# ---------------------------------------------------------------- what follows


def _following_lines(
    settings: DemoSettings, account: BillAccount, month: date, lines: list[DemoBillLine]
) -> Iterator[DemoBillLine]:
    """Tax, support and credits of a bill; the month's totals must be known for them, so the running
    month has no tax yet.
    """
    billed = sum((line.billed for line in lines), Decimal(0))
    end = month_after(month)

    def monthly(
        category: str, service: str, description: str, amount: Decimal, **columns: str
    ) -> DemoBillLine:
        cents = amount.quantize(Decimal("0.01"))
        listed = cents if category == "Usage" else Decimal(0)
        return DemoBillLine(
            account=account,
            month=month,
            start=month,
            end=end,
            category=category,
            service=service,
            service_category="Other",
            description=description,
            billed=cents,
            effective=cents,
            listed=listed,
            contracted=listed,
            columns=columns,
        )

    is_invoiced = end <= settings.now.date()
    if account is AWS and is_invoiced:
        yield monthly(
            "Usage",
            "AWS Support",
            "AWS Business Support, percentage of monthly AWS usage",
            billed * _SUPPORT_SHARE,
            PricingQuantity="1",
            PricingUnit="Month",
            ConsumedQuantity="1",
            ConsumedUnit="Month",
            SkuId="AWS-Support-Business",
        )
        yield monthly(
            "Credit", "Amazon Bedrock", "AWS Migration Acceleration Program credit", Decimal("-900")
        )
    if is_invoiced and account.source in _SALES_TAX:
        rate = _SALES_TAX[account.source]
        yield monthly("Tax", "Tax", "US sales tax", billed * rate)
    credit = events.late_credit(settings)
    if account.source == "openai" and month == credit.billed_in:
        line = monthly(
            "Credit",
            "OpenAI API",
            credit.description,
            -billed * credit.share,
            ChargeClass="Correction",
        )
        yield replace(line, start=credit.outage, end=credit.outage + timedelta(days=1))


# ---------------------------------------------------------------- files


def _file(
    settings: DemoSettings, account: BillAccount, month: date, lines: list[DemoBillLine]
) -> DemoBill:
    if month_after(month) <= settings.now.date() and account.source != "aws":
        number = f"{account.source[:2].upper()}-{month:%Y%m}-{settings.seed:04d}"
        lines = [
            replace(line, columns=dict(line.columns) | {"InvoiceId": number}) for line in lines
        ]
    extra = ("x_UsageType", "x_Operation") if account is AWS else ()
    content = focus_csv(lines, version=account.version, extra=extra)
    name = f"{account.source}-focus-{account.version}-{month:%Y-%m}.csv"
    if account is AWS:
        name, content = name + ".gz", gzipped(content)
    return DemoBill(
        account.source,
        month,
        name,
        content,
        len(lines),
        sum((line.billed for line in lines), Decimal(0)),
        sum((line.effective for line in lines), Decimal(0)),
    )
