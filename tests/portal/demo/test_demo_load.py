"""The demo through the real doors: what is loaded is what the files hold, balanced, and close to
the truth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection
from pytest_django import Settings

from allocation.models import Import, ImportStatus, RunSource, Source, Team, UntracedPolicy
from allocation.values.periods import Period
from benchmarks.accuracy import result
from benchmarks.attribution_errors import weighted_errors
from benchmarks.printed_steps import is_true, opened_lines, printed_days
from portal.accounts.models import Membership, Role, User
from portal.demo import live
from portal.demo.cases import GATEWAY_ATTRIBUTES
from portal.demo.generate import DemoFiles, write_files
from portal.demo.live import requests_between
from portal.demo.load import load_demo, load_settings
from portal.demo.people import PEOPLE, ensure_people
from portal.demo.settings import demo_settings
from portal.errors import Refused
from portal.ingest.otlp.traces.attributes import installed
from portal.ingest.otlp.traces.decode import from_protobuf
from reports.cost_question.question import METRICS
from reports.cost_question.runs import current_runs
from tests.reports.one_definition import assert_one_definition

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = 0.05


def quiet(_: str) -> None:
    pass


def spans_stored() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM span")
        return int(cursor.fetchone()[0])


def exact_sums(files: DemoFiles) -> dict[tuple[str, str, str], Decimal]:
    """(month, source, metric) -> what the generated file holds."""
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for bill, _ in files.bills:
        sums[f"{bill.month:%Y-%m}", bill.source, "billed_cost"] += bill.billed
        sums[f"{bill.month:%Y-%m}", bill.source, "effective_cost"] += bill.effective
    return sums


def test_every_demo_month_reconciles_to_the_files_with_difference_zero(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    outcome = load_demo(folder=tmp_path, now=now, scale=SMALL, say=quiet)
    files = write_files(outcome.settings, tmp_path / "again")

    found = {
        (f"{row.run.billing_month:%Y-%m}", row.source.name, row.metric): (
            row.charges,
            row.allocated + row.unallocated,
        )
        for row in RunSource.objects.filter(run__is_current=True).select_related("run", "source")
    }

    assert found == {key: (amount, amount) for key, amount in exact_sums(files).items()}
    # Three sources, two metrics, three closed months and perhaps the running one.
    assert len(found) >= 18
    for month in sorted({month for month, _, _ in found}):
        assert_one_definition(Period.parse(month))
    assert_explained_to_the_last_digit()
    errors = weighted_errors(files.truth)
    assert set(errors) == {"USD", "EUR"}
    assert Team.objects.count() == 12
    assert Source.objects.get(name="openai").untraced == UntracedPolicy.SPREAD


def assert_explained_to_the_last_digit() -> None:
    """Every line that Explain can open, everybody's share and each team's, in both metrics."""
    printed = [
        (line, *each, is_true(*each))
        for run in current_runs()
        for line in opened_lines(run)
        for metric in METRICS
        for each in printed_days(run, line, metric)
    ]

    assert len(printed) > 1000
    assert [(line, text.day) for line, text, _, holds in printed if not holds] == []
    # Nothing that was not applied: no factor of nothing, none of one, no quantity of itself.
    assert not [page for *_, page, _ in printed if "0.00%" in page or "covered by" in page]


def test_a_second_start_keeps_everything_and_adds_what_happened_since(tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(hour=12)
    first = load_demo(folder=tmp_path, now=now - timedelta(days=2), days=5, scale=SMALL, say=quiet)
    stored, imports = spans_stored(), Import.objects.count()

    at_once = load_demo(folder=tmp_path, now=now - timedelta(days=2), say=quiet)
    assert (at_once.is_new, at_once.spans, spans_stored(), Import.objects.count()) == (
        False,
        0,
        stored,
        imports,
    )

    later = load_demo(folder=tmp_path, now=now, say=quiet)
    assert first.is_new
    assert not later.is_new
    assert later.spans > 0
    assert spans_stored() == stored + later.spans
    bills = Import.objects.filter(kind="bill")
    assert set(bills.values_list("status", flat=True)) <= {
        ImportStatus.LOADED,
        ImportStatus.UNCHANGED,
    }


def test_another_demo_than_the_one_there_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    load_demo(folder=tmp_path, now=now, days=2, scale=SMALL, say=quiet)
    stored = spans_stored()

    with pytest.raises(Refused, match=r"--seed 9: the demo in .* was made with 7"):
        load_demo(folder=tmp_path, now=now, seed=9, say=quiet)
    assert spans_stored() == stored


def test_an_interrupted_load_is_simply_done_again(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    settings = demo_settings(now=now, days=3, scale=SMALL)
    load_settings(settings, tmp_path, since=None, say=quiet)  # and then no state was written
    stored = spans_stored()

    again = load_demo(folder=tmp_path, now=now, days=3, scale=SMALL, say=quiet)

    assert (again.spans, again.bills) == (0, 0)
    assert spans_stored() == stored


def test_each_role_gets_a_login_and_earlier_passwords_end(tmp_path: Path) -> None:
    load_demo(folder=tmp_path, now=datetime.now(UTC), days=1, scale=SMALL, say=quiet)
    first = {login.username: login.password for login in ensure_people()}
    second = {login.username: login.password for login in ensure_people()}

    assert set(first) == set(PEOPLE)
    assert set(Membership.objects.values_list("role", flat=True)) == set(Role.values)
    for username, password in second.items():
        user = User.objects.get(username=username)
        assert user.check_password(password)
        assert not user.check_password(first[username])
        assert not user.is_superuser


def test_live_traffic_goes_on_where_the_load_ended() -> None:
    now = datetime.now(UTC).replace(hour=15)
    settings = demo_settings(now=now, days=2)

    bodies = list(requests_between(settings, now - timedelta(hours=2), now))

    assert bodies
    assert all(list(from_protobuf(body, frozenset())) for body in bodies)
    assert live.EVERY_SECONDS <= 60


SCALES = {
    "complete": 0.3,
    "lost": 0.3,
    "sampled": 1.0,
    "gateway": 0.1,
    "cache": 0.1,
    "batch": 0.1,
    "tags": 0.1,
}


@pytest.fixture
def vocabulary_of_a_gateway(settings: Settings) -> Iterator[None]:
    for name, words in GATEWAY_ATTRIBUTES.items():
        setattr(settings, name, words.split(","))
    installed.cache_clear()
    yield
    installed.cache_clear()


@pytest.mark.usefixtures("vocabulary_of_a_gateway")
@pytest.mark.parametrize("scenario", SCALES)
def test_attribution_is_as_accurate_as_promised(
    scenario: str, tmp_path: Path, settings: Settings
) -> None:
    """The benchmark's scenarios, small; under the default policy for what no span explains
    (auto).
    """
    settings.SPAN_WINDOW_PAST_DAYS = 100_000  # always the same month, as sampling is chance

    found = result(
        scenario, SCALES[scenario], "auto", 7, tmp_path, datetime(2026, 11, 1, tzinfo=UTC)
    )

    assert found["ok"], found
