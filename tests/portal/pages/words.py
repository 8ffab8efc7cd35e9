"""What a page says, apart from how its markup is written."""

from __future__ import annotations

import re


def text_of(html: bytes | str) -> str:
    """The words of a page, spaces made one."""
    content = html.decode() if isinstance(html, bytes) else html
    return " ".join(re.sub(r"<[^>]+>", " ", content).split())
