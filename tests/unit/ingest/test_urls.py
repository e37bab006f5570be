"""URLs: which are taken, what they mean, and as what they are shown."""

from __future__ import annotations

import pytest

from keyprint.errors import InvalidArgument
from services.ingest.urls import check_url, resolve, shown, without_credentials


@pytest.mark.parametrize(
    "url", ["", "user.json", "ftp://example.org/", "http://", "http://a b/", "http://[::1", "http://a:x/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="http or https URL"):
        check_url(url)


def test_a_url_is_shown_without_user_password_and_query() -> None:
    assert without_credentials("https://u:p@example.org:8443/a.json?key=1#x") == "https://example.org:8443/a.json"


@pytest.mark.parametrize("named", ["http://[::1", "ftp://ada:sesame@host/x", "a b.json", "x" * 5000, "/\x1b]0;pwn\x07"])
def test_what_a_document_names_is_a_url_or_refused_in_short(named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        resolve("http://ada:sesame@host.example/list", named)
    assert (caught.value.reason, caught.value.field) == ("URL_INVALID", "url")
    assert "sesame" not in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "named",
    [
        "ftp://ada:sesame@host/x",
        "ftp://host/x?token=sesame",
        "ftp://host/x#token=sesame",
        "ftp://host/x?mail=ada@host&token=sesame",
        "ftp://host/x#ada@sesame",
        "ftp://ada:sesame#@host/x",
        "ftp://ada:sesame?@host/x",
        "ftp://ada:se@sesame@host/x",
        "ftp://host\n/x?\ntoken=sesame",
    ],
)
def test_credentials_are_not_shown_wherever_they_stand(named: str) -> None:
    assert "sesame" not in shown(named)
    with pytest.raises(InvalidArgument) as caught:
        resolve("http://example.org/list", named)
    assert "sesame" not in caught.value.message


def test_what_holds_no_credentials_is_shown() -> None:
    assert shown("ftp://host/x") == "'ftp://host/x'"
