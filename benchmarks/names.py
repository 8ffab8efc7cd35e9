"""Does every bill line meet the calls that caused it? A bill of every model that the pinned price
list knows, traced completely, one team each, through the public commands. One JSON line a month.

    .venv/bin/python benchmarks/names.py [--tree CHECKOUT]

`--tree` is another checkout, with a `.venv` of its own, that is given the same files; so two builds
can be printed side by side. Months: the ten providers that bill by name, worded "<id>, input" and
"<id> - Output Tokens"; clouds in the wording of their own bills; the first again with lines of
made-up models that no list knows, whose calls are traced under other names. `right`: lines wholly
with their team and nobody else. `wrong`: money with another team than the line's. `named`: money
of no team under the model, or the wording, that the line has. `spread`: made-up lines whose money
reached any team. `moved`: teams of known lines that have another amount for the made-up ones.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LEAST_RIGHT = 0.98  # of the lines of known models
MOST_WRONG = 0.01  # of their money

# Who bills by the model's name: id in the price list, name on the bill, service, provider in calls.
SELLERS = (
    ("openai", "OpenAI", "OpenAI API", "openai"),
    ("anthropic", "Anthropic", "Claude API", "anthropic"),
    ("google", "Google Cloud", "Gemini API", "gcp.gemini"),
    ("mistral", "Mistral AI", "Mistral API", "mistral_ai"),
    ("cohere", "Cohere", "Cohere API", "cohere"),
    ("deepseek", "DeepSeek", "DeepSeek API", "deepseek"),
    ("x-ai", "xAI", "xAI API", "x_ai"),
    ("groq", "Groq", "Groq API", "groq"),
    ("perplexity", "Perplexity", "Perplexity API", "perplexity"),
    ("moonshotai", "Moonshot AI", "Moonshot API", "moonshot_ai"),
)
FAMILIES = (
    "gpt-7 claude-saga-9 gemini-8-ultra zephyrine gpt-5.1 o9 kestrel-70b mistral-huge-9 grok-12"
    " command-q llama-9-1t"
)
VARIANTS = "dune brook ember-mini v3-preview 2.5-heath moss fen-pro gale"
MADE_UP = tuple(f"{name}-{variant}" for name in FAMILIES.split() for variant in VARIANTS.split())
DATES = re.compile(
    r"-(?:20\d{2}-?[01]\d-?[0-3]\d|[01]\d-20\d{2}|2[3-9](?:0[1-9]|1[0-2])"
    r"|(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])|latest)(?=$|-|:)|:(?:free|extended)$"
)


@dataclass
class WordedLine:
    """One line of a bill and what its calls say; `team` is whose all of it is."""

    team: str
    wording: str
    provider: str
    service: str
    called: str  # the provider that the calls name
    model: str  # the model that the calls name
    cost: Decimal
    is_output: bool = False
    unit: str = "Tokens"


@dataclass
class NamedMonth:
    name: str
    start: datetime
    known: list[WordedLine]
    made_up: list[WordedLine] = field(default_factory=list)

    @property
    def lines(self) -> list[WordedLine]:
        return self.known + self.made_up


def listed(provider: str) -> list[str]:
    """Ids of one provider's price list; of twins that differ by their date, the shortest."""
    from genai_prices import data

    models = next(each.models for each in data.providers if each.id == provider)
    found: dict[str, str] = {}
    for model in sorted((model.id for model in models), key=lambda text: (len(text), text)):
        found.setdefault(DATES.sub("", model), model)
    return sorted(found.values())


def by_name(wording: str, *, is_output: bool = False) -> list[WordedLine]:
    return [
        line(wording.format(model), name, service, called, model, is_output=is_output)
        for provider, name, service, called in SELLERS
        for model in listed(provider)
    ]


def line(
    wording: str,
    provider: str,
    service: str,
    called: str,
    model: str,
    *,
    is_output: bool = False,
    unit: str = "Tokens",
) -> WordedLine:
    sign = hashlib.md5(f"{called} {model}".encode(), usedforsecurity=False).hexdigest()[:8]
    team = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:40] + f"-{sign}"
    return WordedLine(team, wording, provider, service, called, model, Decimal(0), is_output, unit)


def in_clouds() -> list[WordedLine]:
    """Lines as Bedrock, Vertex AI and Azure word them."""
    found = []
    seen: set[str] = set()
    for model in listed("aws"):
        own = re.sub(r"^(?:global|regional)\.", "", model)
        name = DATES.sub("", re.sub(r"-v?\d+:\d+$|-v\d+$|:\d+$", "", own.split(".", 1)[1]))
        name = "deepseek-r1" if name == "r1" else name
        if name not in seen:
            seen.add(name)
            text = f"USE1-{bedrock_name(name)}-input-tokens"
            found.append(line(text, "AWS", "Amazon Bedrock", "aws.bedrock", own))
    for model in listed("google"):
        text = f"{vertex_name(model)} Text Input - Predictions"
        found.append(line(text, "Google Cloud", "Vertex AI", "gcp.vertex_ai", model))
    for n, model in enumerate(each for each in listed("openai") if azure_sells(each)):
        name = model.removeprefix("gpt-") if n % 2 and model.startswith("gpt-5") else model
        text = f"{name.replace('-', ' ')} {('Inp glbl Tokens', 'pp Inp Gl 1M Tokens')[n % 2]}"
        found.append(line(text, "Microsoft", "Azure OpenAI", "azure.ai.openai", model))
    return found


def bedrock_name(name: str) -> str:
    """claude-opus-4-1 as ClaudeOpus4.1, llama3-1-70b-instruct as Llama3-1-70B."""
    name = name.removesuffix("-instruct")
    if name.startswith("claude"):
        words = re.sub(r"(?<=\d)-(?=\d(?:-|$))", ".", name).split("-")
        return "".join(word[:1].upper() + word[1:] for word in words)
    if name.startswith("nova") and not re.search(r"\d", name):
        return "".join(word.capitalize() for word in name.split("-"))
    return re.sub(r"(?<![a-z])[a-z](?=[a-z]{2})|(?<=\d)b\b", lambda m: m[0].upper(), name)


def vertex_name(model: str) -> str:
    if model.startswith("claude"):
        model = re.sub(r"(?<=\d)-(?=\d(?:-|$))", ".", model)
    return " ".join(word[:1].upper() + word[1:] for word in model.split("-"))


def azure_sells(model: str) -> bool:
    return re.match(r"(?:gpt-[45](?!.*(?:image|ft-))|o[134]\b|text-embedding)", model) is not None


def made_up() -> list[WordedLine]:
    """Lines of models that no list knows, beside calls under names that the bill does not have."""
    found = []
    for n, model in enumerate(MADE_UP):
        _, name, service, called = SELLERS[n % len(SELLERS)]
        one = line(f"{model}, input", name, service, called, f"internal-alias-{n}")
        one.team = f"made-up-{n}"
        found.append(one)
    return found


def months() -> list[NamedMonth]:
    last = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = []
    for _ in range(4):
        last = last.replace(year=last.year - (last.month == 1), month=(last.month - 2) % 12 + 1)
        starts.append(last)
    found = [
        NamedMonth("by name, input", starts[0], by_name("{}, input")),
        NamedMonth("by name, output", starts[1], by_name("{} - Output Tokens", is_output=True)),
        NamedMonth("in clouds", starts[2], in_clouds()),
        NamedMonth("by name, with made-up models", starts[3], by_name("{}, input"), made_up()),
    ]
    for month in found:
        for n, one in enumerate(month.lines):
            one.cost = Decimal(1 + n * 7919 % 9973) + Decimal(n) / 1000  # far apart, no two alike
    return found


# ---------------------------------------------------------------- files


COLUMNS = [
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "ContractedCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeDescription",
    "InvoiceIssuerName",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "SubAccountId",
    "ConsumedQuantity",
    "ConsumedUnit",
    "SkuMeter",
    "Tags",
]
TOKENS = 1_000_000


def write_bill(month: NamedMonth, path: Path) -> None:
    end = month.start.replace(
        year=month.start.year + (month.start.month == 12), month=month.start.month % 12 + 1
    )
    stamp = "{:%Y-%m-%dT%H:%M:%SZ}".format
    day, after = month.start.replace(day=5), month.start.replace(day=6)
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for one in month.lines:
            cost = str(one.cost)
            where = (one.provider, "AI and Machine Learning", one.service, "p-1")
            period = (stamp(month.start), stamp(end), stamp(day), stamp(after))
            about = ("Usage", one.wording, one.provider, one.provider)
            used = (TOKENS, one.unit, one.wording, "")
            writer.writerow((*[cost] * 4, "b-1", "USD", *period, *about, *where, *used))


def write_traces(month: NamedMonth, path: Path) -> None:
    at = int(month.start.replace(day=5, hour=12).timestamp()) * 10**9
    with path.open("w", encoding="utf-8") as out:
        for n, one in enumerate(month.lines):
            told = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": one.called,
                "gen_ai.request.model": one.model,
                "gen_ai.project": "p-1",
                "team": one.team,
            }
            counts = {
                "gen_ai.usage.input_tokens": 0 if one.is_output else TOKENS,
                "gen_ai.usage.output_tokens": TOKENS if one.is_output else 0,
            }
            span = {
                "traceId": f"{at + n:032x}",
                "spanId": f"{n + 1:016x}",
                "name": "chat",
                "kind": 3,
                "startTimeUnixNano": str(at),
                "endTimeUnixNano": str(at + 10**9),
                "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in told.items()]
                + [{"key": k, "value": {"intValue": str(v)}} for k, v in counts.items()],
            }
            scope = {"scope": {"name": "bench"}, "spans": [span]}
            out.write(json.dumps({"resourceSpans": [{"scopeSpans": [scope]}]}) + "\n")


def write_tree(teams: set[str], path: Path) -> None:
    rows = ["kind,id,parent,name,cost_center,valid_from", "legal_entity,le,,Entity,,"]
    rows += ["business_unit,bu,le,Unit,,", "cost_center,cc,le,Centre,,"]
    rows += [f"team,{team},bu,{team},cc,2026-01-01" for team in sorted(teams)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- one portal


Manage = Callable[..., dict[str, Any]]


def portal(tree: Path, home: Path) -> Manage:
    """Runs a command of a checkout's portal and gives what it prints as JSON."""
    environment = {**os.environ, "APPORTION_HOME": str(home)}
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL"):
        environment.pop(name, None)

    def manage(*words: str) -> dict[str, Any]:
        done = subprocess.run(
            [str(tree / ".venv/bin/python"), "manage.py", *words],
            cwd=tree, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr or done.stdout}")
        found: dict[str, Any] = json.loads(done.stdout) if "--json" in words else {}
        return found

    return manage


def measure(tree: Path, work: Path) -> Iterator[dict[str, Any]]:
    manage = portal(tree, work / "home")
    before: Costs = {}
    all_months = months()
    organisation = work / "tree.csv"
    write_tree({one.team for month in all_months for one in month.lines}, organisation)
    previewed = manage("organisation", "preview", str(organisation), "--json")
    manage("organisation", "apply", str(organisation), "--previewed", previewed["previewed"])
    for month in all_months:
        period = f"{month.start:%Y-%m}"
        bill, traces, costs = (work / f"{period}.{end}" for end in ("csv", "jsonl", "costs.csv"))
        write_bill(month, bill)
        write_traces(month, traces)
        manage("import_bill", str(bill), "--source", "names", "--json")
        manage("import_traces", str(traces), "--json")
        manage("allocate", period, "--json")
        manage("export_chargeback", period, "--format", "csv", "--basis", "billed",
               "--output", str(costs))  # fmt: skip
        given, of_nobody = read_costs(costs)
        before = before or given
        yield judged(month, given, of_nobody, before)


Costs = dict[str, Decimal]


def read_costs(costs: Path) -> tuple[Costs, Costs]:
    """What each team got, and what no team did, by model."""
    given: Costs = {}
    of_nobody: Costs = {}
    with costs.open(newline="", encoding="utf-8") as text:
        for row in csv.DictReader(text):
            if row["period"] in ("CONTROL TOTAL", "REJECTED"):
                continue
            into, name = (given, row["team"]) if row["team"] else (of_nobody, row["model"])
            into[name] = into.get(name, Decimal(0)) + Decimal(row["billed_cost"])
    return given, of_nobody


def judged(month: NamedMonth, given: Costs, of_nobody: Costs, before: Costs) -> dict[str, Any]:
    """`before` is what teams got in the first month, whose known lines the last one has again."""
    own = {one.team: one.cost for one in month.known}
    right = [one for one in month.known if given.get(one.team) == one.cost]
    whole = sum(own.values(), Decimal(0))
    wrong = sum(
        (max(Decimal(0), cost - own.get(team, Decimal(0))) for team, cost in given.items()),
        Decimal(0),
    )
    found: dict[str, Any] = {
        "month": month.name,
        "lines": len(month.known),
        "right": len(right),
        "wrong": str(wrong),
        "wrong_share": round(float(wrong / whole), 6),
        "unallocated": str(sum(of_nobody.values(), Decimal(0))),
        "ok": len(right) >= LEAST_RIGHT * len(month.known) and wrong < MOST_WRONG * float(whole),
    }
    if month.made_up:
        named = [
            one for one in month.made_up
            if of_nobody.get(one.wording.removesuffix(", input")) == one.cost
        ]  # fmt: skip
        found |= {
            "made_up": len(month.made_up),
            "named": len(named),
            "spread": sum(1 for one in month.made_up if given.get(one.team)),
            "moved": sum(1 for one in month.known if given.get(one.team) != before.get(one.team)),
        }
        found["ok"] &= (
            len(named) == len(month.made_up) and not found["spread"] and not found["moved"]
        )
    found["not_right"] = [one.wording for one in month.known if one not in right][:20]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout that is measured")
    parser.add_argument("--work", type=Path, help="keep the files here")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    work = options.work or Path(tempfile.mkdtemp(prefix="apportion-names-"))
    work.mkdir(exist_ok=True)
    work.chmod(0o755)
    try:
        for result in measure(options.tree.resolve(), work):
            print(json.dumps(result), flush=True)
    finally:
        if options.work is None:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
