"""The documents of a source that a dataset does not have yet."""

from __future__ import annotations

from collections.abc import Iterator

from keyprint.errors import InvalidArgument, KeyprintError
from services.ingest.catalogue import Catalogue
from services.ingest.download import Downloads, Fetched
from services.ingest.inbox import UPLOAD
from services.ingest.listing import listed
from services.ingest.store import Store, parts_of
from services.ingest.tables import Dataset, Link
from services.ingest.urls import resolve, without_credentials
from services.ingest.walk import Download, Walk


class Missing:
    """Finds where an import begins or goes on, in one source."""

    def __init__(self, catalogue: Catalogue, store: Store, downloads: Downloads, walk: Walk, most: int) -> None:
        """A list may name so many documents at `most`."""
        self._catalogue = catalogue
        self._store = store
        self._downloads = downloads
        self._walk = walk
        self._most = most

    def of(self, dataset: Dataset) -> tuple[Dataset, Iterator[Download]]:
        """The dataset with the documents that it keeps, and those of its source that come after them.

        Where an import had ended, what it ended at may have been mended since: its server is asked whether the last
        document that was read, or the list, is still the same.  What is another now is read again, and all after it.

        Raises:
            KeyprintError: the source cannot be read, or not further.
        """
        if dataset.runs > 1 and not dataset.url.startswith(UPLOAD):
            self._drop_changed(dataset)
            dataset = self._catalogue.get(dataset.id)
        # A kill may have come between the catalogue and the parts.
        self._store.trim(dataset.id, dataset.documents)
        links = self._catalogue.links(dataset)
        if links and dataset.base and not dataset.documents:
            self._copy_base(dataset, links[0].number)
            dataset = self._catalogue.get(dataset.id)
        read = dataset.documents
        if links:
            return dataset, self._walk.each([link for link in links if link.number >= len(read)])
        if not read:
            return dataset, self._from_the_start(dataset)
        last = read[-1]
        if not last.next:
            return dataset, iter(())
        following = resolve(last.final_url, last.next)
        return dataset, self._walk.chain(following, named_by=without_credentials(last.url))

    def _drop_changed(self, dataset: Dataset) -> None:
        links, read = self._catalogue.links(dataset), dataset.documents
        try:
            fetched = self._downloads.get(read[-1].url if read and not links else dataset.url, again=True)
        except KeyprintError:
            # What was read stays what it was, and the import goes on after it.
            return
        if links:
            urls = self._listed(dataset, fetched) or []
            if urls != [link.url for link in links]:
                same = [row.url == url for row, url in zip(read, urls, strict=False)]
                kept = same.index(False) if False in same else len(same)
                self._catalogue.replace_links(dataset, _links(urls), kept)
        elif read and fetched.digest != read[-1].digest:
            self._catalogue.drop_documents(dataset, len(read) - 1)

    def _from_the_start(self, dataset: Dataset) -> Iterator[Download]:
        fetched = self._downloads.get(dataset.url)
        urls = self._listed(dataset, fetched)
        if urls is None:
            return self._walk.chain(dataset.url, fetched)
        links = _links(urls)
        self._catalogue.replace_links(dataset, links)
        return self._walk.each(links)

    def _listed(self, dataset: Dataset, fetched: Fetched) -> list[str] | None:
        try:
            return listed(fetched.content, fetched.url, self._most)
        except InvalidArgument:
            self._downloads.forget(dataset.url)
            raise

    def _copy_base(self, dataset: Dataset, count: int) -> None:
        base = self._catalogue.get(str(dataset.base))
        self._store.copy_parts(base.id, dataset.id, parts_of(base.documents[:count]))
        self._catalogue.copy_documents(base, dataset, count)


def _links(urls: list[str]) -> list[Link]:
    return [Link(number, url) for number, url in enumerate(urls)]
