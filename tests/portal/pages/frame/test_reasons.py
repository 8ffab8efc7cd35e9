from __future__ import annotations

from portal.pages.frame.reasons import reason_words


def test_told_names_stand_in_quotes() -> None:
    assert reason_words("unknown team: nobody") == "unknown team 'nobody'"
    assert [reason_words(text) for text in ("untraced", "unknown team", None)] == [
        "untraced",
        "unknown team",
        "",
    ]
