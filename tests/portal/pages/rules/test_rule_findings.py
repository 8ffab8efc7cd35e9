from __future__ import annotations

from django.template.loader import render_to_string

from allocation.rules.checks import ERROR, WARNING, Finding
from portal.pages.rules.findings import grouped

UNMATCHED = "matches no charge of October 2026"


def unmatched(*names: str, line: int = 10) -> list[Finding]:
    remedy = "check its condition against the bill"
    return [
        Finding(WARNING, f"rule '{name}'", UNMATCHED, remedy, line + place)
        for place, name in enumerate(names)
    ]


def test_many_of_a_kind_stand_in_one_line_with_their_names() -> None:
    (group,) = grouped(unmatched("a", "b", "c", "d", "e"))

    assert f"{group.subject}{group.what}" == "5 rules match no charge of October 2026"
    assert group.remedy == "check their conditions against the bill"
    assert group.names == "'a', 'b', 'c' and 2 more"
    assert len(group.findings) == 5


def test_errors_come_first_and_a_few_stay_apart() -> None:
    pools = [
        Finding(WARNING, f"pool '{name}'", "nothing fills it", line=line)
        for line, name in enumerate("pqr", 2)
    ]
    error = Finding(ERROR, "rule 'z'", "there is no team 'x'", line=90)

    groups = grouped([*unmatched("a", "b"), *pools, error])

    assert [(group.first.line, len(group.findings)) for group in groups] == [
        (90, 1),
        (2, 3),
        (10, 1),
        (11, 1),
    ]
    assert f"{groups[1].subject}{groups[1].what}" == "3 pools, each: nothing fills it"
    assert groups[1].names == "'p', 'q', 'r'"


def test_each_finding_keeps_its_line_for_the_editor() -> None:
    page = render_to_string("rules/findings.html", {"groups": grouped(unmatched("a", "b", "<c>"))})

    assert [
        f'data-line="{line}"' in page and f'data-goto="{line}"' in page for line in (10, 11, 12)
    ] == [True] * 3
    assert page.count(UNMATCHED) == 3
    assert "<c>" not in page
    plain = render_to_string(
        "rules/findings.html", {"groups": grouped(unmatched("a")), "without_editor": True}
    )
    assert "data-goto" not in plain
    assert "line 10" in plain


def test_a_terminal_is_told_the_same_groups() -> None:
    lines = [
        str(group)
        for group in grouped(
            [*unmatched("a", "b", "c", "d"), Finding(ERROR, "rule 'z'", "no team")]
        )
    ]

    assert lines == [
        "rule 'z': no team",
        "4 rules match no charge of October 2026; check their conditions against the bill:"
        " 'a', 'b', 'c' and 1 more",
    ]
