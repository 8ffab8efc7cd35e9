"""Documents of rules that are wrong, and the sentences that say so."""

from __future__ import annotations

# A document, and its problems.
MISTAKES: list[tuple[str, tuple[str, ...]]] = [
    (
        "rules: [{name: a, method: traced_usage, weights: year}]",
        ("rule 1 (a): weights are those of the day or of the month, not 'year'",),
    ),
    (
        "rules: [{name: a, method: traced_usage, by_region: 1}]",
        ("rule 1 (a): `by_region` is true or false, not 1",),
    ),
    (
        "rules: [{name: a, method: traced_usage, pool_cache_writes: maybe}]",
        ("rule 1 (a): `pool_cache_writes` is true or false, not 'maybe'",),
    ),
    (
        "rules: [{name: a, method: follow, of_rules: []}]",
        ("rule 1 (a): `of_rules` needs text or a list of texts, not []",),
    ),
    (
        "{rules: [], agents: nobody}",
        ("`agents` says who pays for a call between teams, caller or callee, not 'nobody'",),
    ),
    (
        "rules: [{name: a, method: follow, when: {SkuId: {regex: [a, b]}}}]",
        ("rule 1 (a): `regex` takes one pattern; several are one with | between them",),
    ),
    (
        "rules: [{name: a, method: even, among: [{pool: [p]}]}]",
        ("rule 1 (a): `pool` is one name, not ['p']",),
    ),
    (
        "rules: [{name: a, method: proportional, by: tokens, usage: {model: [x]}}]",
        ("rule 1 (a): `model` is one name, not ['x']",),
    ),
    (
        "rules: [{name: a, method: follow, when: {x_a: {in: []}}}]",
        ("rule 1 (a): `in` needs text or a list of texts, not []",),
    ),
    (
        "rules: [{name: a, method: even, among: [{team: [x, y]}]}]",
        ("rule 1 (a): `team` is one name, not ['x', 'y']",),
    ),
    (
        "rules: [{name: a, method: even, among: [{team: x, environment: null}]}]",
        ("rule 1 (a): `environment` needs text or a list of texts, not None",),
    ),
    (
        "rules: [{name: a, method: direct, target: {pool: {x: y}}}]",
        ("rule 1 (a): `pool` needs text or a list of texts, not {'x': 'y'}",),
    ),
    ("- a", ("the rules need a list named `rules`",)),
    ("rules: {}", ("the rules need a list named `rules`",)),
    (
        "{rules: [], limits: [], 7: x}",
        (
            "there is no section '7'; there are version, scope, phase, rules, pools and agents",
            "there is no section 'limits'; there are version, scope, phase, rules, pools and "
            "agents",
        ),
    ),
    ("{rules: [], scope: x}", ("`scope` needs a list",)),
    ("{rules: [], pools: {a: b}}", ("`pool` needs a list",)),
    ("rules: [{method: follow}]", ("rule 1: it needs a name",)),
    ('rules: [{name: " ", method: follow}]', ("rule 1 ( ): it needs a name",)),
    ("rules: [{name: 7, method: follow}]", ("rule 1 (7): it needs a name",)),
    ("rules: [x]", ("rule 1: it needs a name",)),
    (
        "rules: [{name: a}]",
        (
            "rule 1 (a): method is one of direct, traced_usage, provider_usage, capacity, "
            "gpu_usage, proportional, even, fixed, follow, unallocated, not None",
        ),
    ),
    (
        "rules: [{name: a, method: guess}]",
        (
            "rule 1 (a): method is one of direct, traced_usage, provider_usage, capacity, "
            "gpu_usage, proportional, even, fixed, follow, unallocated, not 'guess'",
        ),
    ),
    (
        "rules: [{name: a, method: follow, colour: red, 5: x}]",
        (
            "rule 1 (a): there is no 5, colour; a follow rule has by, follows, kind, method, name, "
            "note, of_rules, owner, valid_from, valid_to, when",
        ),
    ),
    (
        "rules: [{name: a, method: follow, kind: unallocated}]",
        (
            "rule 1 (a): kind is one of direct, shared, idle, adjustment, tax, credit, "
            "commitment_unused, not 'unallocated'",
        ),
    ),
    (
        "rules: [{name: a, method: follow, follows: me}]",
        ("rule 1 (a): follows is one of related, commitment, not 'me'",),
    ),
    (
        "rules: [{name: a, method: follow, valid_from: soon}]",
        ("rule 1 (a): valid_from is a month such as 2026-10, not 'soon'",),
    ),
    (
        "rules: [{name: a, method: follow, valid_to: 7}]",
        ("rule 1 (a): valid_to is a month such as 2026-10, not 7",),
    ),
    (
        "rules: [{name: a, method: follow, valid_from: 2026-11, valid_to: 2026-11}]",
        ("rule 1 (a): valid_to is the month after the last, so later than valid_from",),
    ),
    (
        "rules: [{name: a, method: follow, valid_from: 2026-11, valid_to: 2026-10}]",
        ("rule 1 (a): valid_to is the month after the last, so later than valid_from",),
    ),
    (
        "rules: [{name: a, method: follow}, {name: a, method: follow}]",
        ("rule 'a' stands twice for the same months",),
    ),
    (
        "rules: [{name: a, method: direct}]",
        ("rule 1 (a): method direct needs a target with a team, or a pool alone",),
    ),
    (
        "rules: [{name: a, method: direct, target: {feature: x}}]",
        ("rule 1 (a): method direct needs a target with a team, or a pool alone",),
    ),
    (
        "rules: [{name: a, method: direct, target: {pool: p, team: x}}]",
        (
            "rule 1 (a): a target has no pool; it has team, feature, product, environment, "
            "customer, phase",
        ),
    ),
    ("rules: [{name: a, method: direct, target: {pool: p}}]", ("rule 'a': there is no pool 'p'",)),
    (
        "{rules: [], pools: [{name: p, method: even, among: [{pool: q}]}]}",
        ("pool 'p': there is no pool 'q'",),
    ),
    (
        "{rules: [{name: f, method: follow}, {name: a, method: proportional, by: cost, "
        "of_rules: [f, g]}]}",
        (
            "rule 'a': 'f' follows other cost, so no cost can follow it",
            "rule 'a': there is no rule 'g'",
        ),
    ),
    (
        "{rules: [{name: f, method: follow}], pools: [{name: p, method: proportional, by: "
        "cost, of_rules: f}]}",
        ("pool 'p': 'f' follows other cost, so no cost can follow it",),
    ),
    (
        "{rules: [], pools: [{name: p, method: follow}]}",
        ("pool 1 (p): a pool is split by proportional, even, fixed, not by 'follow'",),
    ),
    (
        "{rules: [], pools: [{name: p, method: even, among: teams, when: {}, 3: x}]}",
        ("pool 1 (p): there is no 3, when in a pool split by even",),
    ),
    (
        "{rules: [], scope: [{name: s, scope: maybe}]}",
        ("scope 1 (s): scope is one of ai, ai_supporting, other, not 'maybe'",),
    ),
    (
        "{rules: [], scope: [{name: s, scope: ai, colour: x, method: y}]}",
        ("scope 1 (s): there is no colour, method; a scope entry has name, when, scope",),
    ),
    (
        "rules: [{name: a, method: follow, when: []}]",
        ("rule 1 (a): a condition is a mapping, not []",),
    ),
    (
        "rules: [{name: a, method: follow, when: {}}]",
        ("rule 1 (a): a condition is a mapping, not {}",),
    ),
    (
        "rules: [{name: a, method: follow, when: {Colour: red}}]",
        (
            "rule 1 (a): 'Colour' is neither a FOCUS column nor x_<name>, Tags.<key>, "
            "AllocatedTags.<key> or "
            "Catalogue.<what>",
        ),
    ),
    (
        "rules: [{name: a, method: follow, when: {Catalogue.Mood: good}}]",
        (
            "rule 1 (a): there is no Catalogue.Mood; the catalogue reads Provider, Project, Model, "
            "TokenClass, Tier, Kind",
        ),
    ),
    (
        "rules: [{name: a, method: follow, when: {ServiceName: {like: x}}}]",
        (
            "rule 1 (a): there is no operator 'like'; there are equals, in, prefix, contains, "
            "regex, missing, above, at_least, below, at_most",
        ),
    ),
    (
        "rules: [{name: a, method: follow, when: {ServiceName: {}}}]",
        (
            "rule 1 (a): an operator is missing; there are equals, in, prefix, contains, regex, "
            "missing, above, at_least, below, at_most",
        ),
    ),
    (
        "rules: [{name: a, method: follow, when: {ServiceName: {missing: maybe}}}]",
        ("rule 1 (a): `missing` is true or false, not 'maybe'",),
    ),
    (
        "rules: [{name: a, method: follow, when: {ServiceName: {in: []}}}]",
        ("rule 1 (a): `in` needs text or a list of texts, not []",),
    ),
    (
        "rules: [{name: a, method: follow, when: {ServiceName: {prefix: [true]}}}]",
        ("rule 1 (a): `prefix` needs text or a list of texts, not [True]",),
    ),
    (
        "rules: [{name: a, method: follow, when: {all: []}}]",
        ("rule 1 (a): `all` needs a list of conditions",),
    ),
    (
        "rules: [{name: a, method: follow, when: {any: {a: b}}}]",
        ("rule 1 (a): `any` needs a list of conditions",),
    ),
    (
        "rules: [{name: a, method: follow, when: {BilledCost: {contains: 1}}}]",
        (
            "rule 1 (a): BilledCost is a number: compare it by above, at_least, below, at_most, "
            "equals or missing",
        ),
    ),
    (
        "rules: [{name: a, method: follow, when: {BilledCost: {above: 1e3}}}]",
        ("rule 1 (a): `above` needs a plain decimal number, not '1e3'",),
    ),
    (
        "rules: [{name: a, method: follow, when: {BilledCost: {equals: true}}}]",
        ("rule 1 (a): `equals` needs a plain decimal number, not True",),
    ),
    (
        "rules: [{name: a, method: follow, when: {SkuId: {below: true}}}]",
        ("rule 1 (a): `below` needs a plain decimal number, not True",),
    ),
    (
        "rules: [{name: a, method: follow, when: {x_size: {missing: 1}}}]",
        ("rule 1 (a): `missing` is true or false, not 1",),
    ),
    (
        "rules: [{name: a, method: follow, when: {x_size: {like: 1}}}]",
        (
            "rule 1 (a): there is no operator 'like'; there are equals, in, prefix, contains, "
            "regex, missing, above, at_least, below, at_most",
        ),
    ),
    (
        "rules: [{name: a, method: fixed}]",
        ("rule 1 (a): method fixed needs `shares`: a list of a target and its share in percent",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: []}]",
        ("rule 1 (a): method fixed needs `shares`: a list of a target and its share in percent",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [7]}]",
        ("rule 1 (a): each of `shares` is a target with a share, not 7",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{team: x}]}]",
        ("rule 1 (a): each of `shares` is a target with a share, not {'team': 'x'}",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{share: 100}]}]",
        ("rule 1 (a): who shares is a mapping with a team or a pool, not {}",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{team: x, share: 99.9}]}]",
        ("rule 1 (a): the shares add up to 99.9%, not 100%",),
    ),
    (
        'rules: [{name: a, method: fixed, shares: [{team: x, share: "33.333333333"}]}]',
        ("rule 1 (a): the shares add up to 33.3333%, not 100%",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{team: x, share: 50}, {team: x, share: 50}]}]",
        ("rule 1 (a): x shares twice",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{pool: x, share: 50}, {pool: x, share: 50}]}]",
        ("rule 1 (a): x shares twice",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{team: x, share: -1}]}]",
        ("rule 1 (a): `share` is a percentage from 0 to 100, not -1",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{team: x, share: 101}]}]",
        ("rule 1 (a): `share` is a percentage from 0 to 100, not 101",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{team: x, share: true}]}]",
        ("rule 1 (a): `share` is a percentage from 0 to 100, not True",),
    ),
    (
        "rules: [{name: a, method: fixed, shares: [{pool: x, team: y, share: 100}]}]",
        (
            "rule 1 (a): a target has no pool; it has team, feature, product, environment, "
            "customer, phase, or a pool alone",
        ),
    ),
    (
        "rules: [{name: a, method: even}]",
        ("rule 1 (a): method even needs `among`: a list of who shares, or `teams` for every team",),
    ),
    (
        "rules: [{name: a, method: even, among: []}]",
        ("rule 1 (a): `among` is `teams` or a list of targets, not []",),
    ),
    (
        "rules: [{name: a, method: even, among: everyone}]",
        ("rule 1 (a): `among` is `teams` or a list of targets, not 'everyone'",),
    ),
    (
        "rules: [{name: a, method: even, among: [x]}]",
        ("rule 1 (a): who shares is a mapping with a team or a pool, not 'x'",),
    ),
    (
        "rules: [{name: a, method: even, among: [{model: x, 4: y}]}]",
        (
            "rule 1 (a): a target has no 4, model; it has team, feature, product, environment, "
            "customer, phase, or a pool alone",
        ),
    ),
    (
        "rules: [{name: a, method: even, among: [{product: x}]}]",
        ("rule 1 (a): who shares needs a team, a feature or a pool: {'product': 'x'}",),
    ),
    (
        "rules: [{name: a, method: proportional, by: mood}]",
        (
            "rule 1 (a): `by` is one of cost, requests, tokens, input_tokens, output_tokens, "
            "cached_tokens, gpu_seconds, seats, series, not 'mood'",
        ),
    ),
    (
        "rules: [{name: a, method: proportional, by: series}]",
        ("rule 1 (a): by series needs `series`, the name of an uploaded one",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, series: x}]",
        ("rule 1 (a): `series` goes with `by: series`, not with `by: seats`",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, of_rules: [a]}]",
        ("rule 1 (a): `of_rules` goes with `by: cost`, not with `by: seats`",),
    ),
    (
        "rules: [{name: a, method: proportional, by: cost, of_rules: []}]",
        ("rule 1 (a): `of_rules` needs text or a list of texts, not []",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, level: org}]",
        ("rule 1 (a): level is one of team, feature, not 'org'",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, weights: year}]",
        ("rule 1 (a): weights are those of the day or of the month, not 'year'",),
    ),
    (
        "rules: [{name: a, method: proportional, by: cost, weights: day}]",
        ("rule 1 (a): weights by cost are those of the month",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, among: [{pool: x}]}]",
        ("rule 1 (a): a pool has no driver of its own; name pools under `fixed` or `even`",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, usage: {model: x}}]",
        ("rule 1 (a): `usage` goes with requests and tokens, not with `by: seats`",),
    ),
    (
        "rules: [{name: a, method: proportional, by: requests, usage: {team: x}}]",
        ("rule 1 (a): `usage` is a mapping of provider, project, model, not {'team': 'x'}",),
    ),
    (
        "rules: [{name: a, method: proportional, by: tokens, usage: {}}]",
        ("rule 1 (a): `usage` is a mapping of provider, project, model, not {}",),
    ),
    (
        "rules: [{name: a, method: proportional, by: tokens, usage: x}]",
        ("rule 1 (a): `usage` is a mapping of provider, project, model, not 'x'",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, min_share: 60, among: [{team: x}, "
        "{team: y}]}]",
        ("rule 1 (a): a minimum of 60% for each of 2 is more than 100%",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, min_share: 60, max_share: 50}]",
        ("rule 1 (a): min_share 60 is above max_share 50",),
    ),
    (
        "rules: [{name: a, method: proportional, by: seats, min_share: x}]",
        ("rule 1 (a): `min_share` is a percentage from 0 to 100, not 'x'",),
    ),
    (
        'rules: [{name: a, method: proportional, by: seats, max_share: "100.5"}]',
        ("rule 1 (a): `max_share` is a percentage from 0 to 100, not '100.5'",),
    ),
    (
        "rules: [{name: a, method: proportional, by: cost, of_rules: [a]}]",
        ("the order is a circle: rule a > rule a",),
    ),
    (
        "rules: [{name: a, method: follow, when: &x {all: [*x]}}]",
        ("the rules are no YAML: line 1: an alias names what holds it",),
    ),
    (
        "rules: [{name: a, method: direct, target: 7}]",
        ("rule 1 (a): method direct needs a target with a team, or a pool alone",),
    ),
    (
        "rules: [{name: a, method: direct, target: {team: {tag: 7.5}}}]",
        ("rule 1 (a): `tag` needs text or a list of texts, not 7.5",),
    ),
    (
        "{rules: [], scope: [{name: s, scope: ai, 5: x, method: y}]}",
        ("scope 1 (s): there is no 5, method; a scope entry has name, when, scope",),
    ),
]
