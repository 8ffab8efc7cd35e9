"""What the pictures show beside the demo company: bills, driver files, agents and a rule set, sent
by forms.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page

from benchmarks.camera import Visitor, sign_in

HEAD = (
    "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingAccountId,BillingCurrency,"
    "BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,"
    "ChargeDescription,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,ServiceName\n"
)
GOOD = (
    "1.5,1.5,2,1.5,acct-7,USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-0{day}T00:00:00Z,"
    "2026-10-0{next}T00:00:00Z,Usage,gpu hours,Azure,Azure,Azure,AI and Machine Learning,Azure "
    "OpenAI\n"
)
ROWS = [GOOD.format(day=day, next=day + 1) for day in range(1, 9)]
REPAIRED = [
    row.replace("T00:00:00Z,Usage", "T00:00:00+00:00,usage").replace("gpu hours", "NULL")
    for row in ROWS
]
BAD = [
    ROWS[3].replace(
        "1.5,1.5", "about a dollar and a half, to be confirmed with the reseller,1.5", 1
    ),
    ROWS[4].replace("2026-10-05", "2026-13-05"),
    ROWS[5].replace("USD", "dollars"),
    ROWS[6].replace("1.5,1.5,2,1.5,", "NaN,,2,1e999,"),
]
BILLS = {
    "repaired.csv": HEAD + "".join(REPAIRED),
    "rejected.csv": HEAD + "".join(ROWS * 12 + BAD).replace("acct-7", "acct-8"),
    "refused.csv": HEAD + "".join(ROWS[:3] + BAD),
    "no-bill.csv": "Date,Amount\n2026-10-01,12\n",
}
NODE = "staging-g6-07"  # of the demo company's platform, by the name that its bill tells
GPU_HEAD = (
    "hour,cluster,node,workload,gpu_model,team,feature,capacity_seconds,booked_seconds,"
    "requested_seconds,active_seconds\n"
)
RULES = """  - name: GPU nodes by use
    when: {ResourceName: staging-g6-07}
    method: gpu_usage
    owner: {team: {tag: team}}
  - name: Machine learning platform by seats
    when: {ServiceName: Amazon SageMaker}
    method: proportional
    by: seats
"""
BEFORE = "  - name: GPU capacity by its tags"


def deliver(browser: Browser, visitor: Visitor) -> None:
    """Loads everything and waits for what becomes of it."""
    page = browser.new_page()
    sign_in(page, visitor)
    for name, text in BILLS.items():
        page.goto(urljoin(visitor.address, "/imports/"))
        page.fill("input[name=source]", "azure-reseller-" + name.removesuffix(".csv"))
        page.set_input_files("input[name=file]", file(name, text))
        page.click("main form button")
        page.locator(".imports th", has_text=name).first.wait_for(timeout=60_000)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    for kind, (text, fields) in driver_files(yesterday).items():
        load_driver(page, visitor, kind, text, fields)
    agents_call(page, visitor, yesterday)
    apply_rules(page, visitor)
    page.wait_for_timeout(8_000)
    wait_for_jobs(page, visitor)
    page.close()


def file(name: str, text: str) -> Any:
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


def driver_files(day: date) -> dict[str, tuple[str, dict[str, str]]]:
    """One file of each kind for the month of the day, and the other fields of its form."""
    month, before = f"{day:%Y-%m}", f"{day.replace(day=1) - timedelta(days=1):%Y-%m}"
    rates = "".join(
        f"{of},USD,EUR,0.9{number}03,ECB monthly average\n"
        for number, of in enumerate((before, month), 2)
    )
    identities = (
        "openai,api_key,key_1,search,,2026-01-01\n"
        "anthropic,workspace,default,support,chat-assistant,2026-10-01"
    )
    return {
        "exchange_rates": (f"month,base,quote,rate,source\n{rates}", {}),
        "series": (
            "team,feature,day,quantity\n"
            "search,,,120\n"
            f"support,chat-assistant,{day},8.5\n"
            "nobody,,,4\n",
            {"name": "seats", "month": month},
        ),
        "gpu_usage": (
            GPU_HEAD
            + "".join(gpu_day(day.replace(day=number)) for number in range(1, day.day + 1)),
            {},
        ),
        "provider_usage": (
            "day,model,batch,api_key,requests,input_uncached,output_text\n"
            f"{day},gpt-4o-2024-08-06,true,key_1,2,100,10\n",
            {"provider": "openai"},
        ),
        "identity_owners": (f"provider,kind,value,team,feature,valid_from\n{identities}\n", {}),
    }


def gpu_day(day: date) -> str:
    """Four hours of a node: a training, a service of another team, and a quarter that nobody
    books.
    """
    lines = []
    for hour in range(0, 24, 6):
        at = f"{day}T{hour:02d}:00:00Z,west,{NODE}"
        active = 6000 if day.day % 2 else ""
        lines.append(
            f"{at},,H100,,,28800,,,\n"
            f"{at},train,H100,vision,visual-search-training,,14400,14400,9000\n"
            f"{at},serve,H100,search,semantic-search,,7200,7200,{active}\n"
        )
    return "".join(lines)


def load_driver(page: Page, visitor: Visitor, kind: str, text: str, fields: dict[str, str]) -> None:
    """By the form of that kind; leaves the page open that says what became of the file."""
    page.goto(urljoin(visitor.address, f"/drivers/?open={kind}"))
    form = page.locator(f"form[action$='/{kind}/']")
    for name, value in fields.items():
        form.locator(f"input[name={name}]").fill(value)
    form.locator("input[name=file]").set_input_files(file(f"{kind}.csv", text))
    form.locator("button").click()
    page.wait_for_load_state("load")


def agents_call(page: Page, visitor: Visitor, day: date) -> None:
    """Spans of one team's agent that another team's feature asked, by a key made for them."""
    page.goto(urljoin(visitor.address, "/admin/"))
    page.fill("input[name=name]", "Agents")
    page.get_by_role("button", name="Make key").click()
    secret = page.locator("main .notice code").inner_text()
    start = int(datetime(day.year, day.month, day.day, 10, tzinfo=UTC).timestamp()) * 10**9
    spans = [agents_span(number, start + number * 10**9) for number in range(40)]
    resource = {
        "attributes": attributes(
            {"service.name": "agents", "team": "search", "feature": "semantic-search"}
        )
    }
    sent = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    answer = page.request.post(
        urljoin(visitor.address, "/v1/traces"),
        data=sent,
        headers={"Authorization": f"Bearer {secret}"},
    )
    if not answer.ok:
        raise SystemExit(f"The agents' spans were refused: {answer.status} {answer.text()}")


def agents_span(number: int, start: int) -> dict[str, Any]:
    told: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.4",
        "gen_ai.project": "proj_Sx41kTq0aUPp7Rb2",  # the demo company's largest
        "gen_ai.usage.input_tokens": 90_000,
        "gen_ai.usage.output_tokens": 2_000,
        "entry.team": "support",
        "entry.feature": "chat-assistant",
    }
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "chat gpt-5.4",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + 9 * 10**8),
        "attributes": attributes(told),
    }


def attributes(values: dict[str, str | int]) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def apply_rules(page: Page, visitor: Visitor) -> None:
    """Puts a rule set in force whose splits the driver files decide; the months from then on are
    allocated anew.
    """
    page.goto(urljoin(visitor.address, "/rules/edit/"))
    page.fill("#rules-text", page.input_value("#rules-text").replace(BEFORE, RULES + BEFORE))
    page.get_by_role("button", name="Preview what changes").click()
    page.locator(".apply form").wait_for(timeout=120_000)
    page.fill("input[name=note]", "GPU nodes by what ran on them")
    page.get_by_role("button", name=re.compile("^Apply rule set")).click()
    page.wait_for_load_state("load")


def wait_for_jobs(page: Page, visitor: Visitor) -> None:
    page.goto(urljoin(visitor.address, "/jobs/"))
    page.get_by_text("Nothing. Every job has ended.").wait_for(timeout=180_000)
