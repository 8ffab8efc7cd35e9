"""Fault 108: every route, asked by everybody, about their own and about somebody else's objects.

ROUTES names each address of the portal once, those of pages as they are declared; a route that is
missing here fails the suite. For
every route and actor the answer is as the table says, and whoever may read only team alpha finds
nothing of team bravo in it: no name, no amount, no sum that contains one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from allocation.models import RulePreview, RuleSet, Team
from portal.accounts.keys import create_key
from portal.accounts.models import ApiKey, AuditEntry, Membership, Role, User
from portal.jobs.models import Job
from portal.pages.registry import pages, rights
from tests.portal.two_teams import (
    ALPHA,
    BRAVO,
    MONTH,
    Company,
    gives_away,
    one_person_per_role,
    seed_company,
)

ROLE_OF = {
    "executive": Role.EXECUTIVE,
    "lead": Role.TEAM_LEAD,
    "finance": Role.FINANCE,
    "on_call": Role.ON_CALL,
    "finops_admin": Role.FINOPS_ADMIN,
}
PEOPLE = [*ROLE_OF, "nobody", "anonymous"]
KEYS = {
    "read_key": ("read", None),
    "admin_key": ("admin", None),
    "alpha_read_key": ("read", "alpha"),
    "alpha_admin_key": ("admin", "alpha"),
    "ingest_key": ("ingest", None),
    "alpha_ingest_key": ("ingest", "alpha"),
    "gate_key": ("gate", None),
}
ACTORS = [*PEOPLE, *KEYS]
READ_EVERYTHING = {"read_key", "admin_key"}
READ_ALPHA = {"alpha_read_key", "alpha_admin_key"}
KNOWS_ALL_TEAMS = {"executive", "finance", "on_call", "finops_admin", *READ_EVERYTHING}
REFUSALS = {302, 401, 403, 404}


def holders(right: str) -> set[str]:
    """The people whose role opens the page, or gives the right to do something on it."""
    return {name for name, role in ROLE_OF.items() if role in rights()[right]}


@dataclass(frozen=True)
class Route:
    """`own` are addresses that `open_to` may ask for; of `foreign` ones an actor limited to alpha
    gets 404.

    Words in braces are filled in with ids of the seeded rows. `signed_in`: open to every account;
    `public`: to all.
    """

    own: list[str]
    open_to: set[str]
    foreign: list[str] = field(default_factory=list)
    method: str = "get"
    data: dict[str, Any] = field(default_factory=dict)
    content_type: str | None = None
    answers: set[int] = field(default_factory=lambda: {200})


def page(*own: str, foreign: tuple[str, ...] = (), answers: tuple[int, ...] = (200,)) -> Route:
    """An address of a page; who may open it is in the page's declaration."""
    return Route(own=list(own), open_to=set(), foreign=list(foreign), answers=set(answers))


def post(address: str, *, answers: tuple[int, ...] = (200, 302), **data: Any) -> Route:
    """What a page's form is sent to."""
    return Route(own=[address], open_to=set(), method="post", data=data, answers=set(answers))


def api(
    name: str, *own: str, foreign: tuple[str, ...] = (), answers: tuple[int, ...] = (200,)
) -> Route:
    """An address of the API that narrows to the caller's teams."""
    open_to = holders(name) | READ_EVERYTHING | READ_ALPHA
    return Route(own=list(own), foreign=list(foreign), open_to=open_to, answers=set(answers))


def api_of_everything(name: str, *own: str, answers: tuple[int, ...] = (200,)) -> Route:
    """An address of the API that speaks of the whole organisation."""
    return Route(
        own=list(own), open_to=(holders(name) | READ_EVERYTHING) - {"lead"}, answers=set(answers)
    )


def signed_in(*own: str, answers: tuple[int, ...] = (200, 302)) -> Route:
    return Route(own=list(own), open_to=set(PEOPLE) - {"anonymous"}, answers=set(answers))


PERIOD = f"{MONTH:%Y-%m}"
ROUTES: dict[str, Route] = {
    "healthz": Route(own=["/healthz"], open_to=set(ACTORS)),
    "readyz": Route(own=["/readyz"], open_to=set(ACTORS)),
    "home": signed_in("/", answers=(302, 403)),
    # Sign-in.
    "account_login": Route(own=["/accounts/login/"], open_to=set(ACTORS), answers={200, 302}),
    "account_logout": signed_in("/accounts/logout/"),
    "account_inactive": Route(own=["/accounts/inactive/"], open_to=set(ACTORS)),
    "account_reauthenticate": signed_in("/accounts/reauthenticate/"),
    "account_change_password": signed_in("/accounts/password/change/"),
    "mfa_index": signed_in("/accounts/2fa/"),
    "mfa_authenticate": Route(
        own=["/accounts/2fa/authenticate/"], open_to=set(ACTORS), answers={302}
    ),
    "mfa_reauthenticate": signed_in("/accounts/2fa/reauthenticate/"),
    "mfa_activate_totp": signed_in("/accounts/2fa/totp/activate/"),
    "mfa_deactivate_totp": signed_in("/accounts/2fa/totp/deactivate/", answers=(302, 404)),
    "mfa_view_recovery_codes": signed_in("/accounts/2fa/recovery-codes/", answers=(302, 404)),
    "mfa_generate_recovery_codes": signed_in(
        "/accounts/2fa/recovery-codes/generate/", answers=(302, 404)
    ),
    "mfa_download_recovery_codes": signed_in(
        "/accounts/2fa/recovery-codes/download/", answers=(302, 404)
    ),
    # Telemetry in.
    "otlp_traces": Route(
        own=["/v1/traces"],
        open_to={"ingest_key", "alpha_ingest_key", "admin_key", "alpha_admin_key"},
        method="post",
        data={"resourceSpans": []},
        content_type="application/json",
    ),
    # API.
    "api_schema": Route(own=["/api/v1/schema/"], open_to=set(ACTORS) - {"anonymous"}),
    "api_rules_schema": Route(own=["/api/v1/rules/schema/"], open_to=set(ACTORS) - {"anonymous"}),
    "api_costs": api(
        "showback",
        "/api/v1/costs/",
        f"/api/v1/costs/?period={PERIOD}&group_by=team,model,feature,day",
        "/api/v1/costs/?group_by=provider,rule,charge_kind&ai=all&metric=billed_cost",
        "/api/v1/costs/?team=alpha",
        f"/api/v1/costs/?feature={BRAVO.word}&group_by=day",
        foreign=(
            "/api/v1/costs/?team=bravo",
            f"/api/v1/costs/?team=bravo&period={PERIOD}&group_by=day",
        ),
    ),
    "api_teams": api("showback", "/api/v1/teams/"),
    "api_team": api("showback", "/api/v1/teams/alpha/", foreign=("/api/v1/teams/bravo/",)),
    "api_imports": api_of_everything(
        "imports", "/api/v1/imports/", "/api/v1/imports/?status=loaded"
    ),
    "api_import": api_of_everything("imports", "/api/v1/imports/{bill_import}/"),
    "api_import_rejected": api_of_everything("imports", "/api/v1/imports/{bill_import}/rejected/"),
    "api_jobs": api_of_everything("jobs", "/api/v1/jobs/"),
    "api_job": api_of_everything("jobs", "/api/v1/jobs/{job}/"),
    "api_runs": api_of_everything("rules", "/api/v1/runs/"),
    "api_reconcile": api_of_everything("chargeback", f"/api/v1/reconcile/?period={PERIOD}"),
    "api_gap": api_of_everything("reconciliation", f"/api/v1/reconcile/gap/?period={PERIOD}"),
    "api_chargeback": api("showback", f"/api/v1/chargeback/?period={PERIOD}"),
    "api_explain": api(
        "explain",
        "/api/v1/explain/",
        f"/api/v1/explain/?period={PERIOD}&line={{run}}-{{bravo_bucket}}&bill=0-0",
        f"/api/v1/explain/?period={PERIOD}&rule={BRAVO.word}&whole=1&bill=0-0",
        foreign=("/api/v1/explain/?team=bravo", "/api/v1/explain/?team=bravo&bill=0-0&whole=1"),
    ),
    "api_unpriced": api_of_everything("debug", "/api/v1/prices/unpriced/"),
    "api_bills": Route(
        own=["/api/v1/bills/"],
        open_to=holders("imports") | {"admin_key", "ingest_key"},
        method="post",
        data={"source": "cloud"},
    ),
    "api_drivers": api_of_everything("drivers", "/api/v1/drivers/"),
    "api_driver_upload": Route(
        own=["/api/v1/drivers/series/"],
        open_to=holders("admin") | {"admin_key", "ingest_key"},
        method="post",
        data={"name": "seats"},
    ),
}

# What is asked of pages, by the name of the address. One that is not here and needs no arguments is
# asked for as it stands.
PAGE_ROUTES: dict[str, Route] = {
    "executive": page("/executive/", "/executive/?sort.teams=name", "/executive/?team=bravo"),
    "showback": page("/showback/", answers=(200, 302)),
    "showback_team": page(
        "/showback/alpha/", foreign=("/showback/bravo/", "/showback/bravo/?team=alpha")
    ),
    "chargeback": page("/chargeback/", "/chargeback/?team=bravo"),
    "chargeback_file": page(f"/chargeback/lines.csv?period={PERIOD}&basis=billed"),
    "reconciliation": page("/reconciliation/", f"/reconciliation/?period={PERIOD}&team=bravo"),
    "reconciliation_csv": page(f"/reconciliation/gap.csv?period={PERIOD}"),
    "explain": page(
        "/explain/",
        f"/explain/?feature={BRAVO.word}&whole=1&bill=0-0",
        "/explain/?format=json&line={run}-{bravo_bucket}&bill=0-0",
        foreign=(
            "/explain/?team=bravo",
            "/explain/?team=bravo&format=json",
            "/explain/?team=bravo&bill=0-0",
        ),
    ),
    "on-call": page("/on-call/", "/on-call/?team=bravo"),
    "debug": page("/debug/", "/debug/?team=bravo"),
    "gpu": page("/gpu/", "/gpu/?team=bravo"),
    "debug-trace": page("/debug/trace/{bravo_trace}/"),
    "import": page("/imports/{bill_import}/"),
    "import_rejected_csv": page("/imports/{bill_import}/rejected.csv"),
    "import_upload": post("/imports/upload/", answers=(302, 400), source="cloud"),
    "driver_upload": post("/drivers/upload/series/", name="seats"),
    "driver_allocate": post("/drivers/allocate/", month=PERIOD),
    "rules_version": page("/rules/versions/1/", "/rules/versions/1/?against=1"),
    "rules_version_file": page("/rules/versions/1/rules.yaml"),
    "rules_edit": page("/rules/edit/", "/rules/edit/?set=1", "/rules/edit/?preview={preview}"),
    "rules_check": post("/rules/edit/check/", text="rules: []"),
    "rules_preview_draft": post("/rules/edit/preview/", text="rules: []", effective_from=PERIOD),
    "rules_preview": page(
        "/rules/previews/{preview}/",
        "/rules/previews/{preview}/?download=team&currency=USD",
    ),
    "rules_apply": post("/rules/previews/{preview}/apply/", sha256="2" * 64),
    "ownership": page("/ownership/", "/ownership/?download=teams"),
    "ownership_csv": page("/ownership/organisation.csv"),
    "ownership_unowned": page("/ownership/unowned/", "/ownership/unowned/?download=lines"),
    "ownership_tags": page("/ownership/tags/", "/ownership/tags/?download=tags"),
    "ownership_coverage": page(
        "/ownership/coverage/", "/ownership/coverage/?download=coverage-cost"
    ),
    "ownership_preview": post("/ownership/preview/", answers=(200, 302, 400)),
    "ownership_apply": post(
        "/ownership/apply/", text="kind,id\n", previewed="x", answers=(200, 302, 400)
    ),
    "ownership_accept": post(
        "/ownership/unowned/accept/",
        suggestion="0" * 24,
        month=PERIOD,
        currency="USD",
        answers=(200, 302, 400),
    ),
    "admin_add_user": post("/admin/users/", username="eve"),
    "admin_grant": post("/admin/users/{nobody}/grant/", role="finops_admin"),
    "admin_withdraw": post("/admin/users/{nobody}/withdraw/", membership="1"),
    "admin_activate": post("/admin/users/{nobody}/activate/"),
    "admin_deactivate": post("/admin/users/{nobody}/deactivate/"),
    "admin_second_factor": page("/admin/users/{nobody}/second-factor/", answers=(200, 302)),
    "admin_remove-second-factor": post(
        "/admin/users/{nobody}/remove-second-factor/", username="nobody"
    ),
    "admin_password": post("/admin/users/{nobody}/password/"),
    "admin_add_key": post("/admin/keys/", name="mine", scope="admin", expires=""),
    "admin_revoke_key": post("/admin/keys/{key}/revoke/"),
}


def routes_of_pages() -> Iterator[tuple[str, Route]]:
    """Each address that a page declares, with whom its declaration opens it to."""
    for spec in pages().values():
        for right in spec.all_rights():
            for url in right.urls:
                name = str(url.name)
                route = PAGE_ROUTES.get(name) or page(reverse(name))
                yield name, replace(route, open_to=holders(right.name))


ROUTES |= dict(routes_of_pages())


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
            alpha_bucket=self.company.buckets["alpha"],
            bravo_bucket=self.company.buckets["bravo"],
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
                    f"{name}: {actor} {route.method} {address} -> {status}, expected {sorted(expected)}"
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
