"""manage.py import_prices: bring list prices in: of the installed genai-prices, of files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from allocation.catalogue.litellm_map import read_map
from allocation.catalogue.own_prices import PriceFileError, read_own_prices
from allocation.catalogue.price_store import replace_map, replace_own
from allocation.catalogue.prices import match_models
from allocation.models import Price
from allocation.values.money import exact_sum, plain
from portal.accounts import audit
from portal.commands import PortalCommand, Refused, day_argument
from portal.ingest.otlp.job_kinds import refresh_prices
from reports.analysis.price_doubts import KINDS, PriceDoubt, doubts_csv
from reports.asking import TeamScope
from reports.queries.usage.picked import UsageFilter
from reports.queries.usage.price_doubts import usage_price_doubts
from reports.window import HourWindow

LARGEST_FILE = 64 * 1024 * 1024
EXAMPLES = 5
DAYS = 30
Read = TypeVar("Read")


class Command(PortalCommand):
    help = (
        "Import the installed genai-prices, the organisation's own prices and a price map in "
        "LiteLLM's form as one new version of the list prices, and price known usage by it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--own",
            type=Path,
            metavar="FILE",
            help="own prices, instead of those before: provider, model, valid_from, tier, class, "
            "usd_per_million, and overrides (yes: before the package's)",
        )
        parser.add_argument(
            "--litellm", type=Path, metavar="FILE", help="a price map in LiteLLM's JSON form"
        )
        parser.add_argument(
            "--valid-from",
            type=day_argument,
            metavar="DAY",
            help="--litellm: the day its prices hold from; default: today",
        )

        parser.add_argument(
            "--doubts",
            type=Path,
            metavar="FILE",
            help=f"write what is in doubt about the prices of the last {DAYS} days as CSV",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        if options["valid_from"] and not options["litellm"]:
            raise Refused(
                "--valid-from goes with --litellm; own prices state their days themselves"
            )
        files: dict[str, Any] = {}
        with transaction.atomic():
            if options["own"]:
                files["own"] = import_own(options["own"])
            if options["litellm"]:
                day = options["valid_from"] or timezone.now().astimezone(UTC).date()
                files["litellm"] = import_map(options["litellm"], day)
            is_changed = any(told["status"] == "loaded" for told in files.values())
            version, is_new = refresh_prices(created_by="import_prices", again=is_changed)
            if is_changed:
                audit.record(
                    None,
                    "import prices",
                    f"prices {version.pk}",
                    {"sha256": version.content_sha256, **files},
                )
        prices = Price.objects.filter(version=version)
        return {
            "status": "loaded" if is_new else "unchanged",
            "version": version.pk,
            "source": version.source,
            "sha256": version.content_sha256,
            "prices": prices.count(),
            "models": prices.values("provider", "model").distinct().count(),
            "undated": prices.filter(is_undated=True).count(),
            "models_matched_now": match_models(version.pk),
            **files,
            **doubts_of_usage(options["doubts"]),
        }

    def show(self, outcome: dict[str, Any]) -> str:
        told = {
            name: value for name, value in outcome.items() if not isinstance(value, dict | list)
        }
        lines = [super().show(told)]
        for name in ("own", "litellm"):
            file = dict(outcome.get(name, {}))
            skipped = file.pop("skipped", [])
            lines += [f"{name} {what}: {value}" for what, value in file.items()]
            lines += [
                f"{name} skipped {each['keys']:,}: {each['reason']} "
                f"({', '.join(each['for_example'])})"
                for each in skipped
            ]
        lines += [
            f"{each['kind']}: {each['prices']:,} prices, {each['list_cost'] or 'unknown'} USD, "
            f"{each['tokens']} tokens; first {each['first']}"
            for each in outcome["doubts"]
        ]
        return "\n".join(lines)


def doubts_of_usage(file: Path | None) -> dict[str, Any]:
    """What is in doubt about the prices of the usage of late; all of it goes to the file."""
    end = timezone.now()
    found = usage_price_doubts(
        window=HourWindow(end - timedelta(days=DAYS), end),
        picked=UsageFilter(),
        teams=TeamScope.everything(),
    )
    if file is not None:
        try:
            file.write_text(doubts_csv(found.doubts), encoding="utf-8", newline="")
        except OSError as error:
            raise Refused(f"{file} can't be written: {error.strerror}") from error
    return {
        "calls_at_general_price": plain(found.general_calls),
        "doubts": [
            {"kind": kind, "prices": len(own), **touched(own)}
            for kind in KINDS
            if (own := [each for each in found.doubts if each.kind == kind])
        ],
    }


def touched(doubts: list[PriceDoubt]) -> dict[str, Any]:
    """The money and tokens of these prices, the cost None where none of it is known; the first."""
    first, costs = doubts[0], [each.list_cost for each in doubts if each.list_cost is not None]
    names = (first.provider, first.model, first.tier, first.token_class)
    return {
        "list_cost": plain(exact_sum(costs)) if costs else None,
        "tokens": plain(exact_sum(each.tokens for each in doubts)),
        "first": " ".join(name for name in names if name),
    }


def import_own(path: Path) -> dict[str, Any]:
    lines = read_file(path, read_own_prices)
    return {"status": "loaded" if replace_own(lines) else "unchanged", "prices": len(lines)}


def import_map(path: Path, valid_from: date) -> dict[str, Any]:
    found = read_file(path, lambda text: read_map(text, valid_from))
    return {
        "status": "loaded" if replace_map(found.lines, valid_from) else "unchanged",
        "valid_from": valid_from.isoformat(),
        "prices": len(found.lines),
        "models": len({(each.line.provider, each.line.model) for each in found.lines}),
        "skipped": [
            {"reason": reason, "keys": len(keys), "for_example": keys[:EXAMPLES]}
            for reason, keys in sorted(found.skipped.items(), key=lambda told: -len(told[1]))
        ],
    }


def read_file(path: Path, read: Callable[[str], Read]) -> Read:
    """What the file says; refused with every line or key that it can't be used for."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise Refused(f"{path} has more than {LARGEST_FILE // 2**20} MB; that is no price list")
        return read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} can't be read: {error}") from error
    except PriceFileError as error:
        raise Refused(
            f"{path}: the prices can't be used; put this right and try again:\n"
            + "\n".join(f"- {problem}" for problem in error.problems)
        ) from error
