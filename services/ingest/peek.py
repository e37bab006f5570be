"""What a document says before it is read, so that the next one can be fetched meanwhile."""

from __future__ import annotations

import json
import re

_TAIL_BYTES = 4096
"""As far from its end as is looked; most servers take no longer URL."""

_LAST = re.compile(rb', \s* "next" \s* : \s* (" (?: [^"\\] | \\. )* ") \s* \} \s* \Z', re.DOTALL | re.VERBOSE)
"""`next` as the last member of an object that ends the document.

Inside a text its quotes would have backslashes before them, so that in a document that is JSON it is what it looks
like.
"""


def peek_next(content: bytes) -> str | None:
    """What the document names as `next`, if that is its last member; None if that cannot be told without reading it."""
    found = _LAST.search(content[-_TAIL_BYTES:])
    try:
        named: str | None = json.loads(found[1]) if found else None
    except ValueError:
        return None
    return named
