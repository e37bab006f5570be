"""Whose requests the gateway takes."""

from __future__ import annotations

import pytest

from gateway.guard import allowed_hosts, hostname


def test_loopback_goes_by_three_names() -> None:
    assert allowed_hosts("127.0.0.1:8080", []) == {"localhost", "127.0.0.1", "::1"}


def test_the_host_that_it_listens_on_is_one_and_a_wildcard_is_none() -> None:
    assert "10.1.2.3" in allowed_hosts("10.1.2.3:8080", [])
    assert allowed_hosts("0.0.0.0:8080", []) == allowed_hosts("[::]:8080", []) == allowed_hosts("localhost:1", [])


def test_more_names_can_be_allowed_in_any_case() -> None:
    assert "keyprint.example" in allowed_hosts("0.0.0.0:80", ["Keyprint.Example"])


@pytest.mark.parametrize(
    ("netloc", "host"),
    [
        ("a:80", "a"),
        ("A", "a"),
        ("[::1]:80", "::1"),
        ("", ""),
        ("[", ""),
        ("user@a:80", ""),
        ("a/b", ""),
        ("a?b", ""),
        ("a#b", ""),
    ],
)
def test_a_host_is_read_from_its_header(netloc: str, host: str) -> None:
    assert hostname(netloc) == host
