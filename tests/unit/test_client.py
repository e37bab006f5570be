"""The typed client."""

from __future__ import annotations

from itertools import groupby

from keyprint.client import _pieces
from keyprint.v1 import ingest_pb2


def test_documents_of_one_name_stay_apart() -> None:
    sent = [("user.json", b"1"), ("user.json", b"2"), ("user.json", b"3"), ("other.json", b""), ("user.json", b"4")]
    header, *pieces, end = _pieces(ingest_pb2.UploadDatasetRequest.Header(), sent)
    assert (header.WhichOneof("part"), end.WhichOneof("part")) == ("header", "end")
    together = [list(of_one) for _, of_one in groupby(pieces, lambda piece: piece.piece.name)]
    assert [b"".join(piece.piece.content for piece in one) for one in together] == [b"1", b"2", b"3", b"", b"4"]
