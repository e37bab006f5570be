"""How fast ingest is: python -m benchmarks.ingest [DOCUMENT ...]

Three measurements, each of ratios of what ran in turns:

- document to features against the straightforward way, on made-up typists, press-only, with releases and with times as
  browsers write them, and on the labelled documents of the default phrase that are given;
- whole imports, over HTTP and to Parquet, as the service does them, against parsing and document to features by one
  process;
- cost per keystroke and peak memory of imports of 400 typists against those of 40, readers included.

Parsing is document to valid attempts as rows of the schema: `parse_document`, `judge`, `to_batch`.  Document to
features is that, and `align` and the `timing` set.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import requests

from benchmarks import baseline
from keyprint import attempts, simulate
from keyprint.addresses import free_address
from keyprint.attempts import DEFAULT_PHRASE, Verdicts
from keyprint.features import Matrix, feature_set
from services.ingest.catalogue import Catalogue
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.guard import Guard
from services.ingest.importer import Importer, ImportLimits
from services.ingest.parse import Document, parse_document, to_batch
from services.ingest.readers import Readers
from services.ingest.store import Store

USERS, MANY_USERS, ATTEMPTS = 40, 400, 300
READERS = 2
"""As the service has them."""
TURNS = 5
IMPORTS = 3
"""Imports of one process, as a service makes them one after the other."""
PEAK_SECONDS = 0.01
"""Between looks at how much memory there is in use."""
TOGETHER = 10
"""Documents in memory at once: few, so as to leave the peak of an import's memory alone."""


def main() -> None:
    """Runs every measurement; with --import, one import alone, for its memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", nargs="*", type=Path, metavar="DOCUMENT")
    parser.add_argument("--import", dest="importing", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    # As a reader does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    if wanted.importing:
        url, directory = wanted.importing
        print(json.dumps(import_once(url, Path(directory))))
        return
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        released = Path(folder) / "released"
        list(simulate.write(released, USERS, ATTEMPTS, DEFAULT_PHRASE))
        for directory, users in ((few, USERS), (many, MANY_USERS)):
            list(simulate.write(directory, users, ATTEMPTS, DEFAULT_PHRASE, press_only=True))
        for path in wanted.documents:
            compare(path.name, [path])
        compare(f"{USERS} typists", documents(few))
        compare(f"{USERS} typists, times like 2024-03-04T10:00:00.123Z", documents(few), in_milliseconds)
        compare(f"{USERS} typists, with releases", documents(released), releases=True)
        compare(f"{MANY_USERS} typists", documents(many))
        imports(few, many)


def documents(directory: Path) -> list[Path]:
    """The documents of a chain, in order."""
    return sorted(directory.glob("user_*.json"))


def in_milliseconds(content: bytes) -> bytes:
    """The document with its times as browsers write them."""
    return re.sub(rb"(\.\d{3})\d{3}\"", rb'\1Z"', content)


def compare(name: str, paths: list[Path], changed: Callable[[bytes], bytes] = bytes, releases: bool = False) -> None:
    """Document to features, both ways in turns, by processor time, on a few documents at once."""
    same(changed(paths[0].read_bytes()), releases)
    slow, fast, keystrokes = 0.0, 0.0, 0
    for begin in range(0, len(paths), TOGETHER):
        contents = [changed(path.read_bytes()) for path in paths[begin : begin + TOGETHER]]
        keystrokes += sum(len(parse_document(content).keystrokes.pressed_at) for content in contents)
        # One turn is enough where there are many documents.
        turns = [in_turn(contents, releases) for _ in range(TURNS if len(paths) <= USERS else 1)]
        slow += statistics.median(theirs for theirs, _ in turns)
        fast += statistics.median(ours for _, ours in turns)
    print(f"document to features, {name}: {slow / fast:.1f} x the baseline, {fast / keystrokes * 1e9:,.0f} ns a key")


def in_turn(contents: list[bytes], releases: bool) -> tuple[float, float]:
    """Seconds of processor time of the straightforward way and of ours."""
    theirs = timed(lambda: [baseline.features(content, DEFAULT_PHRASE, releases) for content in contents])
    ours = timed(lambda: [features(content, releases) for content in contents])
    return theirs.processor, ours.processor


def rows(content: bytes) -> tuple[Document, Verdicts, pa.RecordBatch]:
    """Parsing, as ingest does it."""
    document = parse_document(content)
    verdicts = attempts.judge(document.keystrokes, DEFAULT_PHRASE)
    return document, verdicts, to_batch(document, verdicts, 0)


def features(content: bytes, releases: bool = False) -> Matrix:
    """What ingest and training do with a document, up to the features."""
    document, verdicts, _ = rows(content)
    aligned = attempts.align(document.keystrokes, verdicts, DEFAULT_PHRASE)
    return feature_set("timing").compute(aligned, releases)


def same(content: bytes, releases: bool) -> None:
    """Fails if the two ways disagree."""
    expected = baseline.features(content, DEFAULT_PHRASE, releases)
    np.testing.assert_allclose(features(content, releases), expected, atol=1e-4)


@dataclass(frozen=True)
class Took:
    """Seconds, on the clock and of processor time of all threads, those of this process's children included."""

    clock: float
    processor: float


def timed(work: Callable[[], object]) -> Took:
    """How long something takes."""
    clock, processor = time.monotonic(), processor_seconds()
    work()
    return Took(time.monotonic() - clock, processor_seconds() - processor)


def processor_seconds() -> float:
    """Of this process and its children."""
    threads = [thread for child in children() for thread in (child / "task").iterdir()]
    return time.process_time() + sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9


class Peak:
    """The most memory that this process and its children had at once while it was open, in MB.

    It is looked at again and again: the kernel keeps the peak of each process alone, in which pages that several of
    them map, as those of libraries, count once for each.

    Attributes:
        megabytes: the peak.
    """

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def __enter__(self) -> Peak:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(PEAK_SECONDS):
            told = [(one / "smaps_rollup").read_text() for one in (Path("/proc/self"), *children())]
            used = sum(int(text.partition("\nPss:")[2].split()[0]) for text in told) / 1024
            self.megabytes = max(self.megabytes, used)


def children() -> list[Path]:
    """Where Linux tells of them."""
    return [Path(f"/proc/{child.pid}") for child in psutil.Process().children()]


def mean(one: Took, other: Took) -> Took:
    """Between two."""
    return Took((one.clock + other.clock) / 2, (one.processor + other.processor) / 2)


def median(found: Sequence[Took]) -> Took:
    """Of each by itself."""
    return Took(statistics.median(one.clock for one in found), statistics.median(one.processor for one in found))


def imports(few: Path, many: Path) -> None:
    """Whole imports over HTTP, each in a process of its own."""
    address = free_address()
    command = [sys.executable, "-m", "benchmarks.servers.files", address.host, str(address.port), str(few.parent)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(f"{address.url}few/")
            found = {}
            for directory in (few, many):
                first = min(directory.glob("user_*.json")).name
                runs = [run(f"{address.url}{directory.name}/{first}", directory) for _ in range(TURNS)]
                found[directory] = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
                shown = found[directory]
                cost = shown["seconds"] / shown["keystrokes"] * 1e9
                print(
                    f"import of {directory.name}: {shown['keystrokes']:,.0f} keystrokes in {shown['seconds']:.2f} s, "
                    f"{cost:,.0f} ns a key, peak {shown['peak']:.0f} MB; {shown['of_parsing']:.2f} of the speed of "
                    f"parsing ({shown['of_parsing_cpu']:.2f} by processor time), {shown['of_features']:.2f} of that of "
                    "document to features"
                )
        finally:
            server.terminate()
    costs = {directory: one["processor"] / one["keystrokes"] for directory, one in found.items()}
    print(f"processor time per keystroke, {MANY_USERS} users against {USERS}: {costs[many] / costs[few]:.2f}")
    print(f"peak memory, {MANY_USERS} users against {USERS}: {found[many]['peak'] / found[few]['peak']:.2f}")


def wait_for(url: str) -> None:
    """Waits until a server answers."""
    for _ in range(100):
        try:
            requests.get(url, timeout=1)
            return
        except requests.ConnectionError:
            time.sleep(0.1)


def run(url: str, directory: Path) -> dict[str, float]:
    """One import in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--import", url, str(directory)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def import_once(url: str, directory: Path) -> dict[str, float]:
    """Imports a chain into an empty catalogue, and reads some of its documents without before and after.

    Gives keystrokes, seconds, the peak in MB, and the speed of the import, on the clock and by processor time, as a
    share of that of parsing and of document to features.  Peak and processor time are those of all processes.
    """
    with opened() as house:
        # The first import of a process loads modules and compiles queries, as a service does once.
        house.imported(url.rpartition("/")[0] + "/" + documents(directory)[-1].name)
        # Before this process itself reads anything.
        with Peak() as peak:
            house.imported(url)
        speeds(directory)
        before = speeds(directory)
        found = [house.imported(url) for _ in range(IMPORTS)]
        took, keystrokes = median([one for one, _ in found]), found[0][1]
        after = speeds(directory)
    parsing, to_features = (mean(one, other) for one, other in zip(before, after, strict=True))
    return {
        "keystrokes": keystrokes,
        "seconds": took.clock,
        "processor": took.processor,
        "peak": peak.megabytes,
        "of_parsing": parsing.clock / (took.clock / keystrokes),
        "of_parsing_cpu": parsing.processor / (took.processor / keystrokes),
        "of_features": to_features.clock / (took.clock / keystrokes),
    }


class House:
    """What an ingest service has from its start to its end, without its server."""

    def __init__(self, folder: Path, readers: Readers) -> None:
        self._catalogue = Catalogue(f"sqlite:///{folder}/catalogue.db")
        self._store = Store(folder)
        guard = Guard(["127.0.0.0/8"])
        self._importer = Importer(
            self._catalogue, self._store, lambda: Fetcher(guard, FetchLimits()), ImportLimits(), readers.read
        )

    def close(self) -> None:
        """Lets go of it."""
        self._catalogue.close()

    def imported(self, url: str) -> tuple[Took, int]:
        """Imports a chain, and deletes all of it; gives how long the import took and its keystrokes."""
        opened = self._catalogue.open_import(url, url, DEFAULT_PHRASE, 20)
        took = timed(lambda: self._importer.run(opened.id))
        dataset = self._catalogue.get(opened.id)
        if dataset.state != "READY":
            raise SystemExit(f"the import ended as {dataset.state}: {dataset.error_message}")
        self._catalogue.delete(dataset.id)
        self._store.delete(dataset.id)
        self._store.cache.delete(url)
        return took, dataset.keystrokes


@contextmanager
def opened() -> Iterator[House]:
    """A new house, with its readers."""
    with Readers(READERS) as readers, tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder), readers)
        yield house
        house.close()


def speeds(directory: Path) -> tuple[Took, Took]:
    """Seconds per keystroke of parsing and of document to features, on some documents of a chain."""
    contents = [path.read_bytes() for path in documents(directory)[:TOGETHER]]
    keystrokes = sum(len(parse_document(content).keystrokes.pressed_at) for content in contents)

    def each(work: Callable[[bytes], object]) -> Took:
        took = timed(lambda: [work(content) for content in contents])
        return Took(took.clock / keystrokes, took.processor / keystrokes)

    return each(rows), each(features)


if __name__ == "__main__":
    main()
