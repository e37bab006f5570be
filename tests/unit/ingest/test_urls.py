"""URLs: which are taken, what they mean, and as what they are shown."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from keyprint.errors import InvalidArgument
from services.ingest.urls import check_url, lane, resolve, shown, without_credentials


@pytest.mark.parametrize(
    "url",
    [
        "", "user.json", "ftp://example.org/", "http://", "http://a b/", "http://[::1", "http://a:x/", "http://a:0/",
        "http://a:65536/", "http://a:1:2/", "http://a:\u0668/", "http://a\tb/", "http://a/\n", "http://a/\u00a0",
        "http://127.0.0.1:8931\\@example.com/", "http://example.com/\\x", "http://ex%61mple.com/",
        "http://[fe80::1%25lo]/", "http://\u4f8b.example/", "http://\uff11\uff12\uff17.0.0.1/", "http://a\u3002example/",
        "http://.example/", "http://*.example/", "http://[v1.x]/", "http://\u20ac:x@a/", "http://a:%E2%82%AC@a/",
        "http://a:%ff@a/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument, match="http or https URL"):
        check_url(url)


@given(
    st.sampled_from(["http://", "https://", "HTTP://", "http:", "//"]),
    st.text(st.sampled_from("ab1.-_:@[]%2f\\/?#&=\u00e9\u3002\uff0f\t\n \u20ac"), max_size=16),
)
@example("http://", "127.0.0.1:8931\\@example.com/")
@example("http://", "[::1]:80/")
@example("http://", "a@b@c:8/")
def test_a_url_that_is_taken_means_the_same_to_everybody(scheme: str, rest: str) -> None:
    try:
        url = check_url(scheme + rest)
    except InvalidArgument:
        return
    said, meant = urlsplit(url), urlsplit(requests.Session().prepare_request(requests.Request("GET", url)).url)
    connected = parse_url(url)
    assert (said.hostname, said.port) == (meant.hostname, meant.port)
    assert (said.hostname, said.port) == (str(connected.host).strip("[]"), connected.port)
    assert without_credentials(url).startswith(f"{said.scheme}://")


def test_a_url_is_shown_without_user_password_and_fragment() -> None:
    assert without_credentials("https://u:p@example.org:8443/a.json#x") == "https://example.org:8443/a.json"


@pytest.mark.parametrize(
    "query",
    [
        "i=3", "user=ada&page=2", "from=2024-01-01T00:00&to=2024-02-01", "file=user_12.json", "q=", "3",
        "name=Zo%C3%AB", "dir=a/b&n=1234567890",
    ],
)  # fmt: skip
def test_a_query_that_holds_no_secret_is_shown(query: str) -> None:
    assert without_credentials(f"https://example.org/user?{query}") == f"https://example.org/user?{query}"


@pytest.mark.parametrize(
    "query",
    [
        "token=sesame", "TOKEN=sesame", "api_key=sesame", "apikey=sesame", "sig=sesame", "Signature=sesame",
        "pw=sesame", "password=sesame", "X-Amz-Signature=sesame", "X-Goog-Credential=sesame", "code=sesame",
        "sas=sesame", "access=sesame", "auth=sesame", "to%6ben=sesame", "i=3&token=sesame", "i=3;token=sesame",
        "sesame", "id=sesame0123456789", "id=sesameaaaaaaaaaaaaaaaaaa", "mail=sesame@example.org",
        "u=http%3A%2F%2Fa%3Asesame@b",
        "a=" + "sesame " * 5, "sesame0123456789=1", "%73esame", "x=%22sesame", "key[]=sesame", "=sesame",
    ],
)  # fmt: skip
def test_what_may_be_a_secret_in_a_query_is_not_shown(query: str) -> None:
    found = without_credentials(f"https://example.org/user?{query}")
    assert "sesame" not in unquote(found)
    assert found.startswith("https://example.org/user?")
    assert "…" in found


@pytest.mark.parametrize(
    "named",
    [
        "http://[::1",
        "ftp://ada:sesame@host/x",
        "a b.json",
        "x" * 5000,
        "/\x1b]0;pwn\x07",
        "/a\tb",
        "//a\\@b/",
        "//\u20ac@b/",
    ],
)
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


def test_a_host_has_one_lane_however_it_is_written() -> None:
    written = ("http://u:p@Example.org/a", "http://example.org:80/", "http://example.org./b?c", "http://EXAMPLE.org:/")
    assert {lane(one) for one in written} == {"example.org:80"}
    assert lane("https://example.org") == "example.org:443"
    assert lane("http://[2001:db8::1]:8000/") == "2001:db8::1:8000"
    assert lane("upload:user_0.json") == "upload"
