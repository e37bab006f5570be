"""The encodings that JSON comes in."""

from __future__ import annotations

import json

_ERRORS = "surrogatepass"
"""Half of a surrogate pair is a matter of the text that it stands in."""


def in_utf8(content: bytes) -> bytes:
    """JSON without its byte order mark, in UTF-8 if it is in UTF-16 or UTF-32; JSON that is in UTF-8 is not looked at.

    Raises:
        UnicodeDecodeError: it is not in the encoding that it begins in.
    """
    encoding = json.detect_encoding(content)
    return content if encoding == "utf-8" else content.decode(encoding, _ERRORS).encode("utf-8", _ERRORS)


def check_utf8(content: bytes) -> None:
    """Returns if it is UTF-8.

    Raises:
        UnicodeDecodeError: it is not.
    """
    content.decode("utf-8", _ERRORS)
