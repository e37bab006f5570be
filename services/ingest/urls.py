"""URLs: which are taken, what they mean, and as what they may be shown."""

from __future__ import annotations

import re
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from keyprint.errors import InvalidArgument

LONGEST_URL = 2048
_PORTS = {"http": 80, "https": 443}
_SHOWN = 200
_HIDDEN = "…"
_HOST = re.compile(r"([a-zA-Z0-9_-][a-zA-Z0-9_.-]*|\[[0-9a-fA-F:.]+\])(:[0-9]*)?")
"""What everybody reads alike: a % in a host is one more letter to some and an escape to others."""
_LATIN = 0xFF

_LONGEST_PLAIN = 32
_LONGEST_WORD = 20
_PLAIN = re.compile(r"[\w .,:/+-]*")
_WORDS = re.compile(r"[^\W_]+")
_MIXED = re.compile(r"(?=.*\d)(?=.*[^\W\d]).{8,}")
"""A word of eight and more with letters and digits."""

_SECRET = re.compile(
    "token|key|secret|sig|pass|pwd|auth|cred|code|session|sas|amz|goog|jwt|hash|hmac|nonce|ticket|access|login|cookie"
    "|^(pw|pin|otp|sid|se|sp|sv|sr|k|p)$",
    re.IGNORECASE,
)
"""Names of parameters that look like those of credentials."""


def check_url(url: str) -> str:
    """Returns `url`.

    Raises:
        InvalidArgument: it is no http or https URL with a host, or one that readers of URLs do not agree on.
    """
    if len(url) > LONGEST_URL:
        raise _wrong(f"A url has at most {LONGEST_URL:,} characters, not {len(url):,}.")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or any(one.isspace() for one in url):
        raise _wrong("The url must be an http or https URL, like https://example.org/user_1.json.")
    # Some read it as a /, so that another host is meant.
    if "\\" in url:
        raise _wrong(
            "The url must be an http or https URL without a backslash; the parts of a path are divided by a /."
        )
    if not _HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        raise _wrong(
            "The host of an http or https URL must be written in letters a to z, digits, hyphens and dots, like "
            "example.org, or be an address, like [2001:db8::1]; names in other letters begin with xn--."
        )
    # Basic authentication, as it is sent, has no other.
    if any(ord(one) > _LATIN for one in unquote(f"{parts.username}{parts.password}")):
        raise _wrong("The user and password of an http or https URL must be in Latin-1 characters.")
    return url


def resolve(base: str, named: str) -> str:
    """The URL that a document at `base` means by what it names.

    Raises:
        InvalidArgument: that is none; the sentence says where it stands.
    """
    try:
        # Joining would leave out tabs and ends of lines.
        if not named.isprintable():
            raise _wrong("A url has no control characters.")
        return check_url(urljoin(base, named))
    except (InvalidArgument, ValueError) as error:
        why = error.message if isinstance(error, InvalidArgument) else "It is no URL."
        raise _wrong(f"{without_credentials(base)} names {shown(named)}, which cannot be fetched. {why}") from None


def lane(url: str) -> str:
    """What sources that wait for each other have in common: the host and port of a URL, and that they were uploaded."""
    parts = urlsplit(url)
    if not parts.hostname:
        return parts.scheme
    return f"{parts.hostname.rstrip('.')}:{parts.port or _PORTS[parts.scheme]}"


def _wrong(sentence: str) -> InvalidArgument:
    return InvalidArgument("URL_INVALID", sentence, "url")


def without_credentials(url: str) -> str:
    """A good `url` as it may be shown: no user, no password, no fragment, and of its query what is no secret."""
    parts = urlsplit(url)
    query = "&".join(_parameter(one) for one in re.split("[&;]", parts.query)) if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _parameter(written: str) -> str:
    """A parameter of a query, with what may be a secret left out."""
    name, equals, value = written.partition("=")
    if not (name and equals and _is_plain(name)):
        # What has no name may be anything.
        return written if written.isdecimal() and _is_plain(written) else _HIDDEN + equals + (_HIDDEN if value else "")
    secret = _SECRET.search(unquote(name)) or not _is_plain(value)
    return f"{name}={_HIDDEN if secret and value else value}"


def _is_plain(text: str) -> bool:
    """Whether it is short and made of words or numbers: keys and tokens mix letters and digits, or are long."""
    meant = unquote(text)
    return (
        len(text) <= _LONGEST_PLAIN
        and _PLAIN.fullmatch(meant) is not None
        and not any(len(word) >= _LONGEST_WORD or _MIXED.fullmatch(word) for word in _WORDS.findall(meant))
    )


def shown(named: str) -> str:
    """Whatever stands where a URL should, as it may be shown: without credentials, in short and quoted."""
    before, *after = re.split("[?#]", named, maxsplit=1)
    # What is before an @ may be a password, and a password may hold a ? or #.
    return repr(_HIDDEN if "@" in "".join(after) else before.rpartition("@")[2][:_SHOWN])
