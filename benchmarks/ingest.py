"""How fast ingest is: python -m benchmarks.ingest [DOCUMENT ...]

Prints ratios against the straightforward way, taken in turns in one run, and the memory and time of whole imports of
40 and of 400 made-up typists.  Labelled documents of the default phrase may be given to measure on as well.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import requests

from benchmarks import baseline
from keyprint import attempts, simulate
from keyprint.addresses import free_address
from keyprint.attempts import DEFAULT_PHRASE
from keyprint.features import feature_set
from services.ingest.catalogue import Catalogue
from services.ingest.fetch import Fetcher, FetchLimits
from services.ingest.guard import Guard
from services.ingest.importer import Importer
from services.ingest.parse import parse_document, to_batch
from services.ingest.store import Store

USERS, MANY_USERS, ATTEMPTS = 40, 400, 300
TURNS = 5
PARSED = 10
"""Documents that an import is compared on with parsing alone, few so as to leave its peak of memory alone."""


def main() -> None:
    """Runs every measurement; with --import, one import alone, for its memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", nargs="*", type=Path, metavar="DOCUMENT")
    parser.add_argument("--import", dest="importing", nargs=2, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    # As the service does it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    if wanted.importing:
        url, directory = wanted.importing
        print(json.dumps(import_once(url, Path(directory))))
        return
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        for directory, users in ((few, USERS), (many, MANY_USERS)):
            list(simulate.write(directory, users, ATTEMPTS, DEFAULT_PHRASE, press_only=True))
        contents = [path.read_bytes() for path in sorted(few.glob("user_*.json"))]
        compare(f"{USERS} made-up typists", contents)
        for path in wanted.documents:
            compare(path.name, [path.read_bytes()])
        imports(few, many)


def compare(name: str, contents: list[bytes]) -> None:
    """Document to features, both ways in turns."""
    keystrokes = sum(len(parse_document(content).keystrokes.pressed_at) for content in contents)
    same(contents[0])
    ours, theirs = [], []
    for _ in range(TURNS):
        theirs.append(timed(lambda: [baseline.features(content, DEFAULT_PHRASE) for content in contents]))
        ours.append(timed(lambda: [features(content) for content in contents]))
    ratio = statistics.median(slow / fast for slow, fast in zip(theirs, ours, strict=True))
    cost = statistics.median(ours) / keystrokes
    print(f"document to features, {name}: {ratio:.1f} x the baseline, {cost * 1e9:,.0f} ns per keystroke")


def features(content: bytes) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """What ingest and training do with a document, up to the features."""
    document = parse_document(content)
    verdicts = attempts.judge(document.keystrokes, DEFAULT_PHRASE)
    to_batch(document, verdicts, 0)
    aligned = attempts.align(document.keystrokes, verdicts, DEFAULT_PHRASE)
    return feature_set("timing").compute(aligned, release_times=False)


def same(content: bytes) -> None:
    """Fails if the two ways disagree."""
    np.testing.assert_allclose(features(content), baseline.features(content, DEFAULT_PHRASE), atol=1e-4)


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


def imports(few: Path, many: Path) -> None:
    """Whole imports over HTTP, each in a process of its own."""
    address = free_address()
    command = [sys.executable, "-m", "http.server", "--bind", address.host, str(address.port)]
    with subprocess.Popen(
        [*command, "--directory", str(few.parent)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
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
                    f"{cost:,.0f} ns per keystroke, peak {shown['peak']:.0f} MB, "
                    f"{shown['ratio']:.2f} of the speed of parsing alone"
                )
        finally:
            server.terminate()
    costs = {directory: one["seconds"] / one["keystrokes"] for directory, one in found.items()}
    print(f"cost per keystroke, {MANY_USERS} users against {USERS}: {costs[many] / costs[few]:.2f}")
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
    """Imports a chain into a new catalogue, and parses some of its documents before and after.

    Gives keystrokes, seconds, the process's peak in MB, and the speed of the import as a share of that of parsing.
    """
    parse_some(directory)
    before = parse_some(directory)
    with tempfile.TemporaryDirectory() as folder:
        catalogue = Catalogue(f"sqlite:///{folder}/catalogue.db")
        importer = Importer(catalogue, Store(Path(folder)), lambda: Fetcher(Guard(["127.0.0.0/8"]), FetchLimits()))
        dataset, _ = catalogue.open_import(url, url, DEFAULT_PHRASE, 20)
        began = time.monotonic()
        importer.run(dataset.id)
        seconds = time.monotonic() - began
        dataset = catalogue.get(dataset.id)
        if dataset.state != "READY":
            raise SystemExit(f"the import ended as {dataset.state}: {dataset.error_message}")
        keystrokes = sum(document.keystrokes for document in dataset.documents)
        catalogue.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parsing = (before + parse_some(directory)) / 2
    return {"keystrokes": keystrokes, "seconds": seconds, "peak": peak, "ratio": parsing / (seconds / keystrokes)}


def parse_some(directory: Path) -> float:
    """Seconds per keystroke from document to features."""
    contents = [path.read_bytes() for path in sorted(directory.glob("user_*.json"))[:PARSED]]
    keystrokes = sum(len(parse_document(content).keystrokes.pressed_at) for content in contents)
    began = time.monotonic()
    for content in contents:
        features(content)
    return (time.monotonic() - began) / keystrokes


if __name__ == "__main__":
    main()
