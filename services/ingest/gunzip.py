"""Documents that may be gzip."""

from __future__ import annotations

import zlib

from keyprint.errors import InvalidArgument

PIECE = 4096
"""Bytes that are decompressed at once. What follows a member in its piece is copied, so small pieces keep a file of
many empty members cheap."""
_GZIP = b"\x1f\x8b"


def unzipped(body: bytes, most: int) -> bytes:
    """A document's bytes, decompressed where it is gzip, in time that grows as its length does.

    Args:
        body: as received.
        most: bytes that it may have, compressed and not.

    Raises:
        InvalidArgument: it is larger, or damaged; whoever calls says which document that is.
    """
    if len(body) > most:
        raise too_large(most)
    if not body.startswith(_GZIP):
        return body
    rest, content = memoryview(body), bytearray()
    reader = _reader()
    while rest:
        piece = rest[:PIECE]
        if reader.eof:
            # A gzip file may have several members, and tapes pad with zeros.
            padding = len(piece) - len(bytes(piece).lstrip(b"\0"))
            if padding:
                rest = rest[padding:]
                continue
            reader = _reader()
        try:
            content += reader.decompress(piece, most + 1 - len(content))
        except zlib.error:
            raise InvalidArgument("NOT_JSON", "It is damaged: it begins as gzip and is none.") from None
        if len(content) > most:
            raise too_large(most)
        rest = rest[len(piece) - len(reader.unused_data) :]
    if not reader.eof:
        raise InvalidArgument("NOT_JSON", "It is damaged: its gzip ends too early.")
    return bytes(content)


def too_large(most: int) -> InvalidArgument:
    """A document has more than so many bytes."""
    return InvalidArgument("LIMIT_EXCEEDED", f"It is larger than {most:,} bytes.")


def _reader() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
