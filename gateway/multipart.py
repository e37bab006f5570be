"""multipart/form-data as it arrives: fields, and files piece by piece, so that none of them has to be held."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from keyprint.errors import InvalidArgument

if TYPE_CHECKING:
    # It is there for type checkers alone.
    from python_multipart.multipart import MultipartCallbacks

FIELD_BYTES = 4096
"""Longest value of a field that is no file."""


@dataclass(frozen=True)
class FormField:
    """A field that is no file."""

    name: str
    value: str


@dataclass(frozen=True)
class FilePiece:
    """The next bytes of a file.

    Attributes:
        field: name of the field that it was sent under.
        number: of the file in the form, from 0.
        name: what the sender calls it.
        content: the bytes; none in the one piece of an empty file.
    """

    field: str
    number: int
    name: str
    content: bytes


Part = FormField | FilePiece


class _Parts:
    """What the parser calls while it reads.

    Attributes:
        found: what it has read since that was last emptied.
        ended: whether the form's last boundary was there.
    """

    def __init__(self) -> None:
        self.found: list[Part] = []
        self.ended = False
        self._header, self._value = b"", b""
        self._disposition: dict[bytes, bytes] = {}
        self._field = ""
        self._file: str | None = None
        self._content = bytearray()
        self._files = 0
        self._pieces = 0

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition, self._content = {}, bytearray()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(self._value)
        self._header, self._value = b"", b""

    def _headers_end(self) -> None:
        if b"name" not in self._disposition:
            raise _unreadable()
        self._field = _text(self._disposition[b"name"])
        self._file = _text(self._disposition[b"filename"]) if b"filename" in self._disposition else None
        if self._file is not None:
            self._files += 1
            self._pieces = 0

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._piece(data[start:end])
            return
        self._content += data[start:end]
        if len(self._content) > FIELD_BYTES:
            raise InvalidArgument(
                "FIELD_TOO_LONG", f"The field {self._field!r} has more than {FIELD_BYTES:,} bytes.", self._field
            )

    def _part_end(self) -> None:
        if self._file is None:
            self.found.append(FormField(self._field, _text(bytes(self._content))))
        elif not self._pieces:
            self._piece(b"")

    def _end(self) -> None:
        self.ended = True

    def _piece(self, content: bytes) -> None:
        self._pieces += 1
        self.found.append(FilePiece(self._field, self._files - 1, self._file or "", content))


async def parts(content_type: str, body: AsyncIterator[bytes]) -> AsyncGenerator[Part, None]:
    """The parts of a form in order; none of a body that is no such form.

    Args:
        content_type: the request's header, with the boundary.
        body: the request's body in chunks, as they arrive.

    Raises:
        InvalidArgument: it breaks off, or is not written as such a form is.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        return
    if not options.get(b"boundary"):
        raise _unreadable()
    reader = _Parts()
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for chunk in body:
            parser.write(chunk)
            for part in reader.found:
                yield part
            reader.found.clear()
    except FormParserError:
        raise _unreadable() from None
    if not reader.ended:
        raise _unreadable()


def _unreadable() -> InvalidArgument:
    return InvalidArgument(
        "BODY_INVALID", "The request's body must be multipart/form-data, whole and with its boundary."
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
