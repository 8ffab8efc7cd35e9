"""Fault 108: every route, asked by everybody, about their own and about somebody else's objects.

A route that is missing in ROUTES fails the suite. For every route and actor the answer is as the
table says, and whoever may read only team alpha finds nothing of team bravo in it: no name, no
amount, no sum that contains one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from allocation.models import RulePreview, RuleSet, Team
from portal.accounts.keys import create_key
from portal.accounts.models import ApiKey, AuditEntry, Membership, User
from portal.jobs.models import Job
from tests.portal.canaries import ALPHA, BRAVO, gives_away
from tests.portal.routes import (
    ACTORS,
    KEYS,
    KNOWS_ALL_TEAMS,
    READ_ALPHA,
    REFUSALS,
    ROUTES,
    Route,
)
from tests.portal.two_teams import Company, one_person_per_role, seed_company


def routes_of_the_portal() -> dict[str, str]:
    """Name and pattern of every route, as Django resolves them."""
    return dict(each_route(get_resolver()))


def each_route(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, str]]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield (
                pattern.name or f"without a name: {prefix}{pattern.pattern}",
                f"{prefix}{pattern.pattern}",
            )
        else:
            yield from each_route(pattern, f"{prefix}{pattern.pattern}")


@dataclass(frozen=True)
class Stage:
    """The seeded company, its people, and what fills the braces of addresses."""

    company: Company
    people: dict[str, User]
    key_id: int
    secrets: dict[str, str]

    def address(self, template: str) -> str:
        return template.format(
            bill_import=self.company.bill_import,
            run=self.company.run,
            job=self.company.job,
            preview=self.company.preview,
            alpha_trace=self.company.traces["alpha"].hex,
            bravo_trace=self.company.traces["bravo"].hex,
            alpha_target=self.company.targets["alpha"],
            bravo_target=self.company.targets["bravo"],
            alpha_split_key=self.company.split_keys["alpha"],
            bravo_split_key=self.company.split_keys["bravo"],
            nobody=self.people["nobody"].pk,
            key=self.key_id,
        )

    def ask(self, actor: str, route: Route, address: str) -> tuple[int, str]:
        client = Client(raise_request_exception=False)
        headers = {}
        if actor in self.secrets:
            headers["Authorization"] = f"Bearer {self.secrets[actor]}"
        elif actor != "anonymous":
            client.force_login(self.people[actor])
        if route.method == "get":
            response = client.get(address, headers=headers)
        elif route.content_type:
            response = client.post(
                address, route.data, content_type=route.content_type, headers=headers
            )
        else:
            response = client.post(address, route.data, headers=headers)
        return response.status_code, text_of(response)


def text_of(response: HttpResponseBase) -> str:
    """Body, address of a redirect and file name of a download."""
    body = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
    return body.decode() + response.get("Location", "") + response.get("Content-Disposition", "")


@pytest.fixture
def stage() -> Stage:
    company = seed_company()
    secrets = {}
    for actor, (scope, team) in KEYS.items():
        key, secrets[actor] = create_key(
            "key", scope, Team.objects.get(slug=team) if team else None, None
        )
    return Stage(company=company, people=one_person_per_role(), key_id=key.pk, secrets=secrets)


def test_fault_108_every_route_is_in_the_matrix() -> None:
    assert set(routes_of_the_portal()) == set(ROUTES)


@pytest.mark.django_db
@pytest.mark.parametrize("actor", ACTORS)
def test_fault_108_every_route_answers_as_the_matrix_says(stage: Stage, actor: str) -> None:
    wrong = []
    for name, route in ROUTES.items():
        for template in route.own:
            if route.method != "get" and actor in route.open_to:
                continue  # what it changes is tested with its page
            address = stage.address(template)
            status, _ = stage.ask(actor, route, address)
            expected = route.answers if actor in route.open_to else REFUSALS
            if status not in expected:
                wrong.append(
                    f"{name}: {actor} {route.method} {address} -> {status},"
                    f" expected {sorted(expected)}"
                )

    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize("actor", [actor for actor in ACTORS if actor not in KNOWS_ALL_TEAMS])
def test_fault_108_nothing_of_another_team_in_any_answer(stage: Stage, actor: str) -> None:
    wrong = []
    for name, route in ROUTES.items():
        for template in [*route.own, *route.foreign]:
            address = stage.address(template)
            if route.method != "get" and actor in route.open_to:
                continue
            status, body = stage.ask(actor, route, address)
            if template in route.foreign and status not in REFUSALS:
                wrong.append(f"{name}: {actor} {address} -> {status}")
            found = gives_away(body, BRAVO, asked=address)
            if found:
                wrong.append(f"{name}: {actor} {address} shows {found}")
            if actor not in READ_ALPHA | {"lead"} and gives_away(body, ALPHA, asked=address):
                wrong.append(f"{name}: {actor} {address} shows team alpha")

    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize("actor", ["lead", *sorted(READ_ALPHA)])
def test_fault_108_no_parameter_widens_what_a_team_sees(stage: Stage, actor: str) -> None:
    """Each readable address with each parameter that names something of the other team."""
    probes = [
        "team=bravo",
        "team=alpha&team=bravo",
        "unit=unit-bravo",
        f"feature={BRAVO.word}",
        f"model={BRAVO.word}",
        f"provider={BRAVO.word}",
        f"product={BRAVO.word}",
        "group_by=team",
        "scope=everything",
        "metric=billed_cost",
        "environment=production",
        "compare=none",
        "report=EUR",
    ]
    wrong = []
    for name, route in ROUTES.items():
        if route.method != "get" or actor not in route.open_to:
            continue
        for template in route.own:
            for probe in probes:
                address = stage.address(template) + ("&" if "?" in template else "?") + probe
                status, body = stage.ask(actor, route, address)
                found = gives_away(body, BRAVO, asked=address)
                if found or status >= 500:
                    wrong.append(f"{name}: {actor} {address} -> {status} shows {found}")

    assert wrong == []


@pytest.mark.django_db
@pytest.mark.parametrize("actor", ACTORS)
def test_fault_108_refused_posts_change_nothing(stage: Stage, actor: str) -> None:
    def counts() -> list[object]:
        states = list(User.objects.order_by("pk").values_list("is_active", "password"))
        keys = list(ApiKey.objects.order_by("pk").values_list("revoked_at", flat=True))
        rules = (RuleSet.objects.count(), RulePreview.objects.count())
        return [
            states,
            keys,
            rules,
            Membership.objects.count(),
            Job.objects.count(),
            AuditEntry.objects.count(),
        ]

    before = counts()

    for route in ROUTES.values():
        if route.method == "post" and actor not in route.open_to:
            for template in [*route.own, *route.foreign]:
                status, _ = stage.ask(actor, route, stage.address(template))
                assert status in REFUSALS, template

    assert counts() == before


@pytest.mark.django_db
def test_fault_115_posts_without_a_csrf_token_are_refused(stage: Stage) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(stage.people["finops_admin"])

    for name, route in ROUTES.items():
        if route.method == "post" and name != "otlp_traces":
            answer = client.post(stage.address(route.own[0]), route.data)
            assert answer.status_code == 403, name
    # A page of another site can post JSON as text/plain; the session alone does not carry it.
    assert client.post("/accounts/login/", "{}", content_type="text/plain").status_code == 403
