"""docs/accuracy.md from the accuracy benchmark's results: one table, and what it means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Line = dict[str, Any]
COMPARED = ("team", "model", "feature")
SUBSETS = {"all_cost": "all AI cost", "model_calls": "model calls"}
WHAT = {
    "complete": "Every span and every tag is there.",
    "lost": "A tenth of all spans is lost at random.",
    "sampled": "A tenth of the traces is kept at the head, told by `ot=th` in tracestate.",
    "sampled-1": "A hundredth of the traces is kept at the head.",
    "tail": (
        "Traces with errors, and those 2.5 times slower than usual, are kept, and a tenth of the "
        "rest; each span says in tracestate how many it stands for."
    ),
    "gateway": (
        "Three OpenAI projects are one, behind a gateway with one key. The gateway's log names "
        "each call's virtual key, read as team and feature by two settings; embeddings pass it "
        "unlogged and are split by the provider's report by user (`provider_usage`, with owners of "
        "identities); 4% of the tokens are the gateway's own calls, in no log, and go to the "
        "gateway's owner, which is what `untraced: owner` says."
    ),
    "cache": (
        "Features of several teams share two prompt caches: two write them, three only read. "
        "Truth: each token class is its caller's."
    ),
    "batch": (
        "Nightly batch jobs without traces, two in one OpenAI project beside interactive calls and "
        "two in one AWS account. On the bill they are batch lines at half the price; the "
        "provider's report knows keys and roles, which have owners."
    ),
    "tags": (
        "Every resource lacks its tags on three days in ten, two GPU nodes always. Owners are "
        "inferred from rows that have tags (same sub-account, service and resource name without "
        "its number, else same description) and accepted as rules with `prefix` conditions, as a "
        "FinOps admin would. Owners inferred from service accounts are not part of it."
    ),
    "mistagged": (
        "A Google Cloud project has another team's tag for the whole month, and two GPU nodes for "
        "some days of it, so the error is that of wrong tags. Not the error counts here: "
        "`reports/queries/ownership/tag_conflicts.py` has to name each of them and nothing else."
    ),
}
HEAD = Path(__file__).with_name("accuracy_page.md").read_text(encoding="utf-8")


def page(lines: Sequence[Line], *, scale: float, policy: str) -> str:
    """The whole document. `lines` are results of benchmarks/accuracy.py; those of one scenario
    differ in their seed.
    """
    scenarios = {
        line["scenario"]: [each for each in lines if each["scenario"] == line["scenario"]]
        for line in lines
    }
    seeds = sorted({line["seed"] for line in lines})
    one = f"seed {seeds[0]}"
    several = (
        f"{one}, where traces are sampled seeds {seeds[0]} to {seeds[-1]}"
        if len(seeds) > 1
        else one
    )
    head = HEAD.format(
        made=f"{datetime.now(UTC):%Y-%m-%d}",
        month=lines[0]["month"],
        seeds=several,
        scale=f"{scale:g}",
        policy=policy,
    )
    sampled = {name: runs for name, runs in scenarios.items() if is_sampled(runs[0])}
    parts = [head, *table(scenarios), "", *what_each_is(scenarios), "", *by_currency(scenarios)]
    if sampled:
        parts += ["", *by_seed(sampled)]
    return "\n".join(parts) + "\n"


def is_sampled(line: Line) -> bool:
    return bool(line["all_cost"]["all"]["sampling_error_shown"])


def table(scenarios: dict[str, list[Line]]) -> Iterable[str]:
    yield (
        "| Scenario | Of | Team | Model | Feature | Limit | Met | By tags: team, model, feature "
        "| List price: team, model, feature |"
    )
    yield "| --- | --- | ---: | ---: | ---: | --- | --- | --- | --- |"
    for name, runs in scenarios.items():
        for subset, words in SUBSETS.items():
            errors = [percent(mean(run[subset][by]["error"] for run in runs)) for by in COMPARED]
            simpler = [
                ", ".join(percent(mean(run[subset][by][way] for run in runs)) for by in COMPARED)
                for way in ("tag_only", "list_price")
            ]
            cells = [name, words, *errors, limit(runs, subset), met(runs, subset), *simpler]
            yield f"| {' | '.join(cells)} |"


def limit(runs: Sequence[Line], subset: str) -> str:
    if "conflicts" in runs[0]:
        return "found and named"
    limits = [percent(mean(run[subset][by]["limit"] for run in runs)) for by in COMPARED]
    return f"{', '.join(limits)} (1.5 times shown)" if is_sampled(runs[0]) else limits[0]


def met(runs: Sequence[Line], subset: str) -> str:
    if "conflicts" in runs[0]:
        return "yes" if runs[0]["ok"] else "**no**"
    good = sum(
        all(run[subset][by]["error"] <= run[subset][by]["limit"] for by in COMPARED) for run in runs
    )
    if len(runs) == 1:
        return "yes" if good else "**no**"
    return f"{'yes' if good == len(runs) else '**no**'}, {good} of {len(runs)} seeds"


def what_each_is(scenarios: dict[str, list[Line]]) -> Iterable[str]:
    yield "## Scenarios"
    yield ""
    yield (
        "Each is one whole month, loaded through the doors that a user has: bills and traces as "
        "files, then allocated."
    )
    yield (
        "The provider's reports come as driver files, as no reader of a provider's API brings "
        "them yet."
    )
    yield ""
    for name, runs in scenarios.items():
        run = runs[0]
        cost = (
            f"{run['spans']:,} spans, model calls of {run['model_calls']['usd']:,.0f} USD of "
            f"{run['all_cost']['usd']:,.0f} USD"
        )
        text = f"- `{name}`: {WHAT[name]} {cost}, policy `{run['untraced_policy']}`."
        if "conflicts" in run:
            text += (
                " Named (what, by its tag, by what it does): "
                f"{'; '.join(run['conflicts']) or 'nothing'}."
            )
            text += f" Not named: {'; '.join(run['missed'])}." if run["missed"] else ""
        yield text


def by_currency(scenarios: dict[str, list[Line]]) -> Iterable[str]:
    yield "## By currency"
    yield ""
    yield (
        "The error over team, model and feature together. In euro there is one bill only, of few "
        "features."
    )
    yield ""
    currencies = sorted(
        next(iter(scenarios.values()))[0]["all_cost"]["all"]["by_currency"], reverse=True
    )
    columns = [f"{words}, {name}" for words in SUBSETS.values() for name in ("both", *currencies)]
    yield f"| Scenario | {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * len(columns)}"
    for scenario, runs in scenarios.items():
        cells = []
        for subset in SUBSETS:
            together = [run[subset]["all"] for run in runs]
            cells.append(percent(mean(figures["error"] for figures in together)))
            cells += [
                percent(mean(figures["by_currency"][name] for figures in together))
                for name in currencies
            ]
        yield f"| {scenario} | {' | '.join(cells)} |"


def by_seed(sampled: dict[str, list[Line]]) -> Iterable[str]:
    """How often the error shown is kept: it is a standard error, and each seed is one draw."""
    yield "## Sampling error, seed by seed"
    yield ""
    yield (
        "The error of model calls over the sampling error that the portal shows for them; the "
        "limit is 1.5. A standard"
    )
    yield "error of a single share is kept by two draws in three, 1.5 of them by seven in eight."
    yield ""
    yield "| Scenario | Seed | Team | Feature | Team, model and feature together |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, runs in sampled.items():
        for run in runs:
            ratios = [ratio(run["model_calls"][by]) for by in ("team", "feature", "all")]
            yield f"| {name} | {run['seed']} | {' | '.join(ratios)} |"


def ratio(figures: dict[str, float]) -> str:
    return f"{figures['error'] / figures['sampling_error_shown']:.2f}"


def mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def percent(share: float) -> str:
    if 0 < share < 0.00005:
        return "<0.01%"
    return f"{100 * share:.2f}%" if share < 0.1 else f"{100 * share:.0f}%"
