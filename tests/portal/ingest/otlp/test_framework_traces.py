"""Real traces of agent frameworks: each call counts once, however many spans repeat it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from portal.ingest.otlp.traces.attributes import vocabulary
from portal.ingest.otlp.traces.decode import json_items
from portal.ingest.otlp.traces.normalise import Sender, normalise
from portal.ingest.otlp.traces.store import settle_within
from portal.ingest.otlp.traces.window import Window
from tests.portal.ingest.otlp.sending import request, span

FOLDER = Path(settings.BASE_DIR).parent / "shared" / "data" / "genai_traces"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is not there")


def as_span(number: int, observation: dict[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    """An observation as Langfuse's own SDK sends it over OTLP."""
    started = datetime.fromisoformat(observation["startTime"])
    ended = datetime.fromisoformat(observation.get("endTime") or observation["startTime"])
    told = {"langfuse.observation.type": observation["type"].lower()}
    if observation.get("model"):
        told["langfuse.observation.model.name"] = observation["model"]
    usage = {
        name: count for name, count in (observation.get("usageDetails") or {}).items() if count
    }
    if usage:
        told["langfuse.observation.usage_details"] = json.dumps(usage)
    parent = numbers.get(observation.get("parentObservationId") or "")
    seconds = (ended - started).total_seconds()
    return span(number, told, parent=parent, at=started, seconds=seconds, name=observation["name"])


def tokens_counted(name: str) -> int:
    observations = json.loads((FOLDER / name).read_text())["observations"]
    numbers = {
        observation["id"]: number for number, observation in enumerate(observations, start=1)
    }
    spans = [as_span(numbers[each["id"]], each, numbers) for each in observations]
    words = vocabulary({})
    items = json_items(request(spans), words.wanted)
    records, refused = normalise(items, words=words, sender=Sender(), window=Window(0, 2**62))
    assert refused == []
    settle_within(records)
    return sum(sum(record.tokens) for record in records if record.counted)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("agno-2025-06-11.trace.json", 183 + 888),  # wrapped by 777 and 1,991
        ("microsoft-agent-2025-12-17.trace.json", 163 + 236),  # beside an agent that says 224
    ],
)
def test_wrapped_calls_count_once(name: str, tokens: int) -> None:
    assert tokens_counted(name) == tokens


def test_no_trace_counts_more_than_its_generations() -> None:
    for path in sorted(FOLDER.glob("*.json")):
        observations = json.loads(path.read_text())["observations"]
        generations = [each for each in observations if each["type"] == "GENERATION"]
        most = sum((each.get("usageDetails") or {}).get("total") or 0 for each in generations)
        if generations:
            assert 0 <= tokens_counted(path.name) <= most, path.name
