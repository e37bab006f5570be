"""URLs: which are taken, what they mean, and as what they may be shown."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit, urlunsplit

from keyprint.errors import InvalidArgument

LONGEST_URL = 2048
_SHOWN = 200
_HIDDEN = "…"


def check_url(url: str) -> str:
    """Returns `url`.

    Raises:
        InvalidArgument: it is no http or https URL with a host.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if len(url) > LONGEST_URL:
        raise InvalidArgument("URL_INVALID", f"A url has at most {LONGEST_URL:,} characters, not {len(url):,}.", "url")
    if not good or not url.isprintable() or any(one.isspace() for one in url):
        raise InvalidArgument(
            "URL_INVALID", "The url must be an http or https URL, like https://example.org/user_1.json.", "url"
        )
    return url


def resolve(base: str, named: str) -> str:
    """The URL that a document at `base` means by what it names.

    Raises:
        InvalidArgument: that is none; the sentence says where it stands.
    """
    try:
        return check_url(urljoin(base, named))
    except (InvalidArgument, ValueError):
        raise InvalidArgument(
            "URL_INVALID",
            f"{without_credentials(base)} names {shown(named)}, which is no http or https URL of at most "
            f"{LONGEST_URL:,} characters.",
            "url",
        ) from None


def without_credentials(url: str) -> str:
    """A good `url` as it may be shown: no user, no password, no query, no fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def shown(named: str) -> str:
    """Whatever stands where a URL should, as it may be shown: without credentials, in short and quoted."""
    before, *after = re.split("[?#]", named, maxsplit=1)
    # What is before an @ may be a password, and a password may hold a ? or #.
    return repr(_HIDDEN if "@" in "".join(after) else before.rpartition("@")[2][:_SHOWN])
