"""Lists of documents."""

from __future__ import annotations

import pytest

from services.ingest.listing import listed

URL = "http://example.org/list"
FOUND = ["http://example.org/ann.json", "http://example.org/zo\u00eb.json"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ['["ann.json", "zo\u00eb.json"]', '"ann.json"\r\n \n\n  "zo\u00eb.json"\n'])
def test_a_list_may_come_in_any_encoding_that_json_has(text: str, encoding: str) -> None:
    assert listed(text.encode(encoding), URL, 2) == FOUND


@pytest.mark.parametrize("content", [b"\xff\xfe[", b"\x00\xd8\x00\x00\x00", b"\xef\xbb\xbf{}", b"\xef\xbb\xbf"])
def test_what_is_no_text_or_no_list_is_no_list(content: bytes) -> None:
    assert listed(content, URL, 2) is None
