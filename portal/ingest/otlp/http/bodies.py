"""Request bodies: read and inflated in pieces, never beyond the limit."""

from __future__ import annotations

import zlib
from typing import Protocol

PIECE = 256 * 1024
ENCODINGS = ("", "identity", "gzip")


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class TooLarge(ValueError):
    """More bytes than the limit, after inflating."""


class Broken(ValueError):
    """The compressed stream is damaged or ends early."""


class UnknownEncoding(ValueError):
    """A Content-Encoding other than gzip and identity."""


def read_body(source: Readable, *, encoding: str, limit: int) -> bytes:
    """The inflated body. Raises TooLarge before more than `limit` bytes and one piece are held."""
    name = encoding.strip().lower()
    if name not in ENCODINGS:
        raise UnknownEncoding(
            f"Content-Encoding {encoding!r:.60} is not supported; send gzip or identity"
        )
    return inflate(source, limit) if name == "gzip" else plain(source, limit)


def plain(source: Readable, limit: int) -> bytes:
    body = bytearray()
    while piece := source.read(PIECE):
        body += piece
        if len(body) > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
    return bytes(body)


def inflate(source: Readable, limit: int) -> bytes:
    """Every member of a gzip stream."""
    body = bytearray()
    member = None
    while piece := source.read(PIECE):
        while piece:
            if member is None or member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                body += member.decompress(piece, limit + 1 - len(body))
            except zlib.error as error:
                raise Broken("the body is not valid gzip") from error
            if len(body) > limit:
                raise TooLarge(f"the inflated body is larger than {limit} bytes")
            piece = member.unused_data if member.eof else member.unconsumed_tail
    if member is not None and not member.eof:
        raise Broken("the gzip body ends early")
    return bytes(body)
