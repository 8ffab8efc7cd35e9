"""Pictures of what no link leads to: forms that were refused, previews, the second factor,
explanations, errors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct
import time
from collections.abc import Callable
from urllib.parse import urljoin

from playwright.sync_api import Locator, Route

from benchmarks.camera import Camera, sign_in
from benchmarks.deliveries import BEFORE, RULES, file, load_driver

BAD_SEATS = "team,feature,day,quantity\nsearch,,,NaN\n,,,3\nsearch,,2026-13-01,4\n"
OWNERS = "provider,kind,value,team,feature,valid_from\nopenai,api_key,key_1,vision,,2026-01-01\n"


def explanation(camera: Camera) -> None:
    """The panel beside a page, step by step down to the bill rows, and the same alone."""
    amounts = "main a[hx-target='#explain']:visible"
    camera.go("/showback/")
    if not camera.page.locator(amounts).count():
        camera.open("/explain/")
        return
    camera.page.locator(amounts).first.click()
    camera.take("explain-panel", whole=False)
    for place in (0, 1):  # another rule, another bill line
        others = camera.page.locator(".explain .table-wrap").nth(place).locator("tbody a")
        if others.count() > 1:
            others.last.click()
            camera.take(f"explain-panel-{place + 1}", whole=False)
    if camera.page.locator(".explain a.button").count():
        camera.page.locator(".explain a.button").click()
        camera.page.locator(".explain a.button").wait_for(state="detached")
        camera.page.locator(".explain table").last.scroll_into_view_if_needed()
        camera.take("explain-panel-rows", whole=False)
    alone = camera.page.locator(".explain .tools a").first.get_attribute("href")
    camera.go(str(alone))
    camera.take("explain-alone")


def admins_states(camera: Camera) -> None:
    """What a FinOps admin meets who makes mistakes, or looks before changing something. Changes
    nothing.
    """
    drafts(camera)
    organisation(camera)
    drivers(camera)
    bills(camera)
    password(camera)
    second_factor(camera)


def drafts(camera: Camera) -> None:
    """The editor with a fault and with rules of the driver files; its preview while it waits and
    once it is there.
    """
    page = camera.page
    camera.go("/rules/edit/")
    text = page.input_value("#rules-text")
    for name, draft in (
        ("misspelt", text.replace("method: follow", "method: folow", 1)),
        ("no-yaml", "rules: [\n"),
        ("new", text if "GPU nodes by use" in text else text.replace(BEFORE, RULES + BEFORE)),
    ):
        with page.expect_response("**/rules/edit/check/**"):
            page.fill("#rules-text", draft)
        camera.take(f"rules-edit-{name}")
    camera.press("Preview what changes")
    # An empty portal has none of the series that the draft goes by.
    if "/rules/previews/" not in page.url:
        camera.take("rules-preview-unknown-series", whole=False)
        page.fill("#rules-text", f"{text}\n# as it stands\n")
        camera.press("Preview what changes")
    camera.take("rules-preview-wait", whole=False)
    page.locator(".apply, .empty").first.wait_for(timeout=120_000)
    camera.take("rules-preview")
    camera.go("/rules/edit/")
    page.fill("#rules-text", "rules: [\n")
    camera.press("Preview what changes")
    camera.take("rules-preview-refused", whole=False)


def organisation(camera: Camera) -> None:
    page = camera.page
    text = page.request.get(urljoin(camera.visitor.address, "/ownership/organisation.csv")).text()
    head, *lines = text.splitlines()
    team = next((line for line in lines if line.startswith("team,")), "team,search,Search,,,,,,,")
    changed = "\n".join(
        [head, team.replace(",", ",new-", 1), team.replace(team.split(",")[2], "Renamed")]
    )
    for name, sent in (
        ("same", text),
        ("problem", f"{head}\nteam,,x\n"),
        ("change", changed),
        ("no-text", "\udcff"),
    ):
        camera.go("/ownership/")
        content = sent.encode("utf-8", "surrogateescape")
        page.set_input_files(
            "#id_file", {"name": f"{name}.csv", "mimeType": "text/csv", "buffer": content}
        )
        camera.press("Show what it would change")
        camera.take(f"ownership-file-{name}")


def drivers(camera: Camera) -> None:
    month = {"name": "seats", "month": "2026-10"}
    for name, kind, text, fields in (
        ("bad-rows", "series", BAD_SEATS, month),
        ("wrong-file", "series", "a,b\n1,2\n", month),
        ("unchanged", "identity_owners", OWNERS.replace("vision", "search"), {}),
    ):
        load_driver(camera.page, camera.visitor, kind, text, fields)
        camera.take(f"drivers-{name}")
    camera.go("/drivers/?open=identity_owners")
    form = camera.page.locator("form[action$='/identity_owners/']")
    form.locator("input[name=file]").set_input_files(file("owners.csv", OWNERS))
    form.locator("input[name=dry_run]").check()
    form.locator("button").click()
    camera.page.wait_for_load_state("load")
    camera.take("drivers-dry-run")


def bills(camera: Camera) -> None:
    camera.go("/imports/")
    camera.page.fill("input[name=source]", "azure-reseller")
    camera.page.fill("input[name=month]", "October")
    camera.page.set_input_files("input[name=file]", file("bill.txt", "no bill"))
    camera.press("Load this bill")
    camera.take("imports-refused")


def password(camera: Camera) -> None:
    camera.go("/accounts/password/change/")
    for name in ("oldpassword", "password1", "password2"):
        camera.page.fill(f"input[name={name}]", name)
    camera.press("Change password")
    camera.take("password-refused")


def second_factor(camera: Camera) -> None:
    """Sets an authenticator app up, signs in elsewhere with it, and does without it again."""
    page, before = camera.page, len(camera.complaints)
    camera.go("/accounts/2fa/totp/activate/")
    if page.locator("input[name=password]").count():
        camera.take("confirm-it-is-you")
        page.fill("input[name=password]", camera.visitor.password)
        camera.press("Confirm")
    if not shown(page.locator("img.qr")):
        camera.complain("the QR code is not shown")
    page.fill("input[name=code]", "000000")
    camera.press("Turn the second factor on")
    camera.take("second-factor-wrong-code")
    page.fill("input[name=code]", code_of(page.input_value("#authenticator_secret")))
    camera.press("Turn the second factor on")
    camera.take("second-factor-recovery-codes")
    for path in (
        "/accounts/2fa/",
        "/accounts/2fa/recovery-codes/generate/",
        "/accounts/2fa/totp/deactivate/",
    ):
        camera.go(path)
        camera.take(
            "second-factor"
            + path.removeprefix("/accounts/2fa").replace("/", "-").rstrip("-")
            + "-set"
        )
    code_page(camera)
    camera.go("/accounts/2fa/totp/deactivate/")
    camera.press("Turn the second factor off")
    if len(camera.complaints) == before and "/2fa/" not in page.url:
        camera.complain("the second factor could not be taken away")


def code_page(camera: Camera) -> None:
    """The page after the password, in a session of its own."""
    context = camera.page.context.browser.new_context(  # type: ignore[union-attr]
        viewport=camera.page.viewport_size,
        color_scheme="dark" if "dark" in camera.look else "light",
    )
    other = Camera(
        context.new_page(), camera.visitor, camera.folder, camera.look, camera.whole_pages
    )
    other.watch()
    sign_in(other.page, camera.visitor)
    other.page.fill("input[name=code]", "123456")
    other.press("Sign in")
    other.take("sign-in-code")
    camera.complaints += other.complaints
    context.close()


def shown(image: Locator) -> bool:
    return bool(image.evaluate("image => image.complete && image.naturalWidth > 0"))


def code_of(secret: str) -> str:
    """RFC 6238, six digits of SHA-1 each half minute."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(int.from_bytes(digest[place : place + 4]) & 0x7FFFFFFF) % 10**6:06d}"


def answering(body: str) -> Callable[[Route], None]:
    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body=body)

    return answer


def errors(camera: Camera) -> None:
    """The pages that stand alone, made from their templates, at an address that answers with
    them.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django
    from django.conf import settings
    from django.template.loader import render_to_string
    from django.test import override_settings

    django.setup()
    # This process collected no files.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    for status in (403, 500, 503):
        with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}):
            body = render_to_string(f"{status}.html", {"error_id": "4b1540fd"})
        camera.page.route("**/no-such-page/", answering(body))
        camera.go("/no-such-page/")
        camera.take(f"error-{status}")
        camera.page.unroute("**/no-such-page/")
