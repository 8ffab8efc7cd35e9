from __future__ import annotations

from allocation.values.names import quoted


def test_names_stand_in_one_kind_of_quotes() -> None:
    assert quoted("Tax") == "'Tax'"
    assert quoted("Bob's") == "'Bob's'"
    assert quoted('the "old" one') == "'the \"old\" one'"


def test_text_stays_on_one_line_and_other_values_are_told_as_they_are() -> None:
    assert quoted("a\nb\u2028c") == "'a\\nb\\u2028c'"
    assert [quoted(value) for value in (7, None, ["a"])] == ["7", "None", "['a']"]
