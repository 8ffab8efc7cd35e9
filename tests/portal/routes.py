"""Every address of the portal, whom it is open to, and what it is asked with.

ROUTES names each address once, those of pages as they are declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.urls import reverse

from portal.accounts.models import Role
from portal.pages.registry import pages, rights
from tests.portal.canaries import ALPHA, BRAVO, MONTH

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
TODAY = datetime.now(UTC).date()
DAYS = f"from={TODAY - timedelta(days=2)}&to={TODAY + timedelta(days=1)}"
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
    "api_usage": api(
        "showback",
        f"/api/v1/usage/?{DAYS}&by=team,feature,model",
        f"/api/v1/usage/?{DAYS}&by=person,repository,key",
        f"/api/v1/usage/?{DAYS}&team=alpha",
        f"/api/v1/usage/?{DAYS}&feature={BRAVO.word}",
        foreign=(f"/api/v1/usage/?{DAYS}&team=bravo",),
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
    "api_reviews": api("showback", f"/api/v1/reviews/?period={PERIOD}"),
    "api_explain": api(
        "explain",
        "/api/v1/explain/",
        f"/api/v1/explain/?period={PERIOD}&line={{run}}-{{bravo_split_key}}&bill=0-0",
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
    "explore": page(
        "/explore/",
        "/explore/?rows=feature&columns=model&span=all",
        foreign=("/explore/?rows=feature&columns=model&team=bravo&span=all",),
    ),
    "feature": page(
        f"/explore/feature/{ALPHA.word}/?period={PERIOD}",
        foreign=(f"/explore/feature/{BRAVO.word}/?period={PERIOD}",),
    ),
    "model": page(
        f"/explore/model/{ALPHA.word}/?period={PERIOD}",
        foreign=(f"/explore/model/{BRAVO.word}/?period={PERIOD}",),
    ),
    "find": page("/find/", f"/find/?q={ALPHA.word[:2]}", f"/find/?q={BRAVO.word[:2]}"),
    "help_document": page("/help/metrics/"),
    "showback_review": post(
        f"/showback/alpha/review/?period={PERIOD}", state="seen", line="", comment=""
    ),
    "chargeback": page("/chargeback/", "/chargeback/?team=bravo"),
    "plan": page("/plan/", f"/plan/?period={PERIOD}", "/plan/?download=history"),
    "plan_csv": page("/plan/plans.csv"),
    "plan_preview": post("/plan/preview/", answers=(200, 302, 400)),
    "plan_type": post("/plan/type/", month=PERIOD, holder="team:bravo", amount="1", currency="USD"),
    "plan_apply": post("/plan/apply/", text="month\n", previewed="x", answers=(200, 302, 409)),
    "chargeback_center": page("/chargeback/center/", "/chargeback/center/?team=bravo"),
    "chargeback_file": page(f"/chargeback/lines.csv?period={PERIOD}"),
    "reconciliation": page("/reconciliation/", f"/reconciliation/?period={PERIOD}&team=bravo"),
    "reconciliation_csv": page(f"/reconciliation/gap.csv?period={PERIOD}"),
    "explain": page(
        "/explain/",
        f"/explain/?feature={BRAVO.word}&whole=1&bill=0-0",
        "/explain/?format=json&line={run}-{bravo_split_key}&bill=0-0",
        foreign=(
            "/explain/?team=bravo",
            "/explain/?team=bravo&format=json",
            "/explain/?team=bravo&bill=0-0",
        ),
    ),
    "explain_change": page(
        "/explain/change/",
        f"/explain/change/?feature={BRAVO.word}",
        foreign=("/explain/change/?team=bravo",),
    ),
    "on-call": page("/on-call/", "/on-call/?team=bravo"),
    "debug": page("/debug/", "/debug/?team=bravo"),
    "debug-prices": page("/debug/prices/", "/debug/prices/?team=bravo"),
    "debug-prices-csv": page("/debug/prices.csv", "/debug/prices.csv?team=bravo"),
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
    "ownership_unknown": page("/ownership/unknown/", "/ownership/unknown/?download=unknown"),
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
    "ownership_teach": post(
        "/ownership/unknown/teach/",
        what="0" * 24,
        means="gpt-4o",
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
