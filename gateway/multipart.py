"""multipart/form-data as it arrives: fields, and files piece by piece, so that none of them has to be held."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from keyprint.errors import InvalidArgument
from keyprint.problems import of_validation

if TYPE_CHECKING:
    # It is there for type checkers alone.
    from python_multipart.multipart import MultipartCallbacks

FIELD_BYTES = 4096
"""Longest value of a field that is no file, and most that may stand before the first part or after the last."""


@dataclass(frozen=True)
class Form:
    """What a form may hold.

    Attributes:
        fields: names of the fields that are no files; each may be there once.
        files: the name under which files are sent, however many.
    """

    fields: Collection[str]
    files: str


@dataclass(frozen=True)
class FormField:
    """A field that is no file."""

    name: str
    value: str


@dataclass(frozen=True)
class FilePiece:
    """The next bytes of a file.

    Attributes:
        number: of the file in the form, from 0.
        name: what the sender calls it.
        content: the bytes; none in the one piece of an empty file.
    """

    number: int
    name: str
    content: bytes


Part = FormField | FilePiece
Place = Literal["before", "within", "after"]


class _Parts:
    """What the parser calls while it reads.

    Attributes:
        found: what it has read since that was last emptied.
        place: before, within or after the form, as its first and its last boundary tell.
    """

    def __init__(self, form: Form) -> None:
        self.found: list[Part] = []
        self.place: Place = "before"
        self._form = form
        self._met: set[str] = set()
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
        self.place = "within"
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
        self._check()
        if self._file is not None:
            self._files += 1
            self._pieces = 0

    def _check(self) -> None:
        """Refuses a part by its name, before anything of it is kept."""
        name = self._field
        if name == self._form.files:
            if self._file is None:
                raise InvalidArgument("FIELD_INVALID", f"The field {name!r} must be a file, with a file name.", name)
            return
        if name not in self._form.fields:
            raise of_validation([{"type": "extra_forbidden", "loc": ("body", name)}])
        if self._file is not None:
            raise InvalidArgument("FIELD_INVALID", f"The field {name!r} must be a text, with no file name.", name)
        if name in self._met:
            raise InvalidArgument("FIELD_REPEATED", f"The field {name!r} may be there only once.", name)
        self._met.add(name)

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
        self.place = "after"

    def _piece(self, content: bytes) -> None:
        self._pieces += 1
        self.found.append(FilePiece(self._files - 1, self._file or "", content))


async def parts(content_type: str, body: AsyncIterator[bytes], form: Form) -> AsyncGenerator[Part, None]:
    """The parts of a form in order; none of a body that is no such form.

    Args:
        content_type: the request's header, with the boundary.
        body: the request's body in chunks, as they arrive.
        form: what it may hold.

    Raises:
        InvalidArgument: it breaks off, is not written as such a form is, or holds what it may not.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        return
    if not options.get(b"boundary"):
        raise _unreadable()
    reader = _Parts(form)
    outside = 0
    try:
        parser = MultipartParser(options[b"boundary"], reader.callbacks())
        async for chunk in body:
            place = reader.place
            parser.write(chunk)
            if place == reader.place != "within":
                outside += len(chunk)
                if outside > FIELD_BYTES:
                    raise _unreadable()
            for part in reader.found:
                yield part
            reader.found.clear()
    except FormParserError:
        raise _unreadable() from None
    if reader.place != "after":
        raise _unreadable()


def _unreadable() -> InvalidArgument:
    return InvalidArgument(
        "BODY_INVALID", "The request's body must be multipart/form-data, whole and with its boundary."
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
