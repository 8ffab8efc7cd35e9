"""A second look at quotes. The fast reader takes a quote that is never closed for a long field;
this finds it.
"""

from __future__ import annotations

import re

from portal.ingest.bills.files.stream import READ_BYTES, BillStream

# A field that starts with a quote: the quoted part, the closing quote if there is one, what follows
# it in the field.
QUOTED = re.compile(rb'(?<=[,\r\n])"((?:[^"]|"")*+)("?)([^,\r\n]*)')
LONGEST_FIELD = 1 << 20


def misquoted(stream: BillStream) -> tuple[int, str] | None:
    """The line of the first field whose quotes are broken, and what is wrong with it; None where
    none are.
    """
    # The line break that would stand before the first line.
    data = b"\n"
    lines_before, ended = 0, False
    while not ended:
        part = stream.read(READ_BYTES)
        ended = not part
        data += part
        cut = len(data) - 1  # one byte stays, to say whether a quote that comes next starts a field
        for found in QUOTED.finditer(data):
            if found.end() == len(data) and not ended and len(found[0]) <= LONGEST_FIELD:
                cut = found.start() - 1
                break
            if not found[2]:
                return lines_before + data.count(
                    b"\n", 0, found.start()
                ), "a quote is opened and never closed"
            if found[3]:
                return lines_before + data.count(
                    b"\n", 0, found.start()
                ), "text follows a closing quote"
        lines_before += data.count(b"\n", 0, cut)
        data = data[cut:]
    return None
