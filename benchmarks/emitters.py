"""Real libraries against fake providers: is every call counted once, with its tokens and a price?

    .venv/bin/python benchmarks/emitters.py [--environments DIR] [--only NAME,...]
        [--table docs/emitters.md]

Each set-up of emitter_setups.py runs in an environment of its own, made with pip below DIR (a
temporary folder unless named; then what is installed is used again). The truth is what the
providers answered. Not part of the test suite: it installs from a package index.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.emitter_setups import PRELUDE, Setup, setups
from benchmarks.fake_providers import Memory, fake_providers
from benchmarks.throwaway import servers, set_up

HOME = set_up()

LONGEST_SECONDS = 180
PINNED = Path(__file__).with_name("emitter_versions.txt")
BEGIN, END = "<!-- emitters: begin -->", "<!-- emitters: end -->"
CLASSES = ("uncached", "cache read", "5 min writes", "1 h writes", "text", "reasoning")


@dataclass(frozen=True)
class SetupOutcome:
    """One set-up: what was answered, and what usage says of it."""

    setup: Setup
    versions: str
    calls: int
    failed: int
    tokens: list[int]
    counted: int
    counted_failed: int
    silent: int
    counted_tokens: list[int]
    unpriced: int
    error: str | None

    @property
    def lacks(self) -> str:
        """What the library does not say, by what is missing of the truth."""
        if self.error:
            return self.error
        found = []
        if self.counted < self.calls:
            found.append(f"{self.calls - self.counted} calls have no span")
        if self.silent:
            found.append(f"{self.silent} calls tell no tokens")
        told_in, told_out = sum(self.counted_tokens[:4]), sum(self.counted_tokens[4:])
        whole = told_in >= sum(self.tokens[:4]) and told_out >= sum(self.tokens[4:])
        for name, true, told in zip(CLASSES, self.tokens, self.counted_tokens, strict=True):
            if whole and name not in ("uncached", "text", "5 min writes") and told < true:
                found.append(f"{name}: {true - told} of {true} tokens told as another class")
        return "; ".join(found) or "-"

    @property
    def verdict(self) -> str:
        """Whether each call that the library tells of counts once, whole and with a price."""
        if self.error:
            return "did not run"
        if self.counted > self.calls:
            return "**double**"
        told_in, told_out = sum(self.counted_tokens[:4]), sum(self.counted_tokens[4:])
        if told_in > sum(self.tokens[:4]) or told_out > sum(self.tokens[4:]):
            return "**too many tokens**"
        return "**no price**" if self.unpriced else "once"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environments", type=Path, help="where the libraries are installed")
    parser.add_argument("--only", default="", help="names of set-ups")
    parser.add_argument("--table", type=Path, help="a page with markers to write the table into")
    options = parser.parse_args()
    chosen = [s for s in setups() if not options.only or s.name in options.only.split(",")]
    with tempfile.TemporaryDirectory() as scratch, servers(HOME), fake_providers() as (url, memory):
        where = options.environments or Path(scratch)
        outcomes = [run(setup, where, url, memory) for setup in chosen]
    if options.table:
        write_table(options.table, outcomes)


def run(setup: Setup, where: Path, url: str, memory: Memory) -> SetupOutcome:
    """Install, run, import what was sent, and compare."""
    memory.answers.clear()
    memory.traces.clear()
    python = where / setup.environment / "bin" / "python"
    install(python, setup.environment)
    error = execute(setup, python, url)
    outcome = compare(setup, versions_of(python, setup), memory, error)
    print(json.dumps({"setup": setup.name, "verdict": outcome.verdict, "lacks": outcome.lacks,
                      "calls": [outcome.calls, outcome.counted]}), flush=True)  # fmt: skip
    return outcome


def install(python: Path, environment: str) -> None:
    if python.exists():
        return
    wanted = pinned()[environment]
    subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *wanted], check=True)


def pinned() -> dict[str, list[str]]:
    """Environment -> packages with versions: lines of `name: package==version ...`."""
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    named = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    return {name: packages.split() for name, packages in named}


def execute(setup: Setup, python: Path, url: str) -> str | None:
    """Run the program; the last line of what went wrong, or None."""
    environment = {
        "PATH": os.environ["PATH"],
        "SETUP": setup.name,
        "FAKE": url,
        "OTLP_TRACES": f"{url}/v1/traces",
        "OPENAI_API_KEY": "sk-none",
        "ANTHROPIC_API_KEY": "sk-none",
        "GOOGLE_API_KEY": "none",
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_BASE": url,
        "TRACELOOP_TELEMETRY": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "AGNO_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
    }
    flush = "\ntrace.get_tracer_provider().force_flush()\nprovider.force_flush()\n"
    try:
        ended = subprocess.run(
            [str(python), "-c", PRELUDE + setup.program + flush],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "did not end in time"
    lines = ended.stderr.strip().splitlines()
    return lines[-1][:160] if ended.returncode and lines else None


def versions_of(python: Path, setup: Setup) -> str:
    """The libraries whose names the program imports, with their versions."""
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    versions = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    modules = set(re.findall(r"^(?:from|import) ([\w.]+)", setup.program, re.MULTILINE))
    names = {module.replace(".", "-").replace("_", "-") for module in modules}
    names |= {module.split(".")[0].replace("_", "-") for module in modules}
    names |= {"google-genai"} if "google" in names else set()
    names |= {"openai-agents"} if "agents" in names else set()
    names |= {"strands-agents"} if "strands" in names else set()
    names |= {name.replace("pydantic-ai", "pydantic-ai-slim") for name in names}
    return ", ".join(f"{name} {versions[name]}" for name in sorted(names) if name in versions)


def compare(setup: Setup, versions: str, memory: Memory, error: str | None) -> SetupOutcome:
    from allocation.catalogue.canonical import TOKEN_COLUMNS

    for body in list(memory.traces):
        receive(body)
    rows = [row for row in usage_rows() if row["service"] == setup.name]
    answers = list(memory.answers)
    return SetupOutcome(
        setup=setup,
        versions=versions,
        calls=len(answers),
        failed=sum(not any(answer) for answer in answers),
        tokens=[sum(column) for column in zip(*answers, strict=True)] or [0] * len(CLASSES),
        counted=sum(row["calls"] for row in rows),
        counted_failed=sum(row["calls_failed"] for row in rows),
        silent=sum(row["calls_without_usage"] for row in rows),
        counted_tokens=[
            sum(row["tokens"][name] for row in rows) for name in TOKEN_COLUMNS[: len(CLASSES)]
        ],
        unpriced=sum(row["list_cost"] is None for row in rows),
        error=None if answers and memory.traces else error or "sends nothing",
    )


def receive(body: bytes) -> None:
    """Store one request as the portal does."""
    from portal.ingest.otlp.traces.attributes import installed
    from portal.ingest.otlp.traces.decode import from_protobuf
    from portal.ingest.otlp.traces.normalise import Sender, normalise
    from portal.ingest.otlp.traces.store import store_spans
    from portal.ingest.otlp.traces.window import window

    words = installed()
    records, _ = normalise(
        from_protobuf(body, words.wanted),
        words=words,
        sender=Sender(),
        window=window(time.time()),
    )
    store_spans(records)


def usage_rows() -> list[dict[str, Any]]:
    """What `manage.py usage` says by service and model."""
    from io import StringIO

    from django.core.management import call_command

    out = StringIO()
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=1), today + timedelta(days=2)
    call_command(
        "usage", first.isoformat(), last.isoformat(), by=["service", "model"], json=True, stdout=out
    )
    rows: list[dict[str, Any]] = json.loads(out.getvalue())["rows"]
    return rows


def write_table(page: Path, outcomes: list[SetupOutcome]) -> None:
    lines = [
        "| Observers | Libraries | Calls, failed | Counted, failed | Tokens in, out |"
        " Counted in, out | Verdict | What the library lacks |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for each in outcomes:
        sides = [
            f"{sum(tokens[:4]):,}, {sum(tokens[4:]):,}"
            for tokens in (each.tokens, each.counted_tokens)
        ]
        lines.append(
            f"| {each.setup.observers} | {each.versions} | {each.calls}, {each.failed} |"
            f" {each.counted}, {each.counted_failed} | {sides[0]} | {sides[1]} | {each.verdict} |"
            f" {each.lacks} |"
        )
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    made = f"{BEGIN}\nMade on {datetime.now(UTC).date()}.\n\n" + "\n".join(lines) + f"\n{END}"
    page.write_text(before + made + after, encoding="utf-8")


if __name__ == "__main__":
    main()
