"""What HTTP costs: python -m benchmarks.gateway [--calls N]

A model of 35 made-up typists is trained by the service's own code, and the same attempt of one of them is identified by
32 callers at once: over gRPC from inference itself, and over HTTP from a gateway before it, in turns.  On both sides
the callers are h2load's, each on a connection of its own that sends the next call when it has the answer to the last,
after 1,000 calls that count for nothing.  Processes are pinned alike: inference, the same process for both, has one
core, h2load the other, and the gateway shares h2load's.  Shown are each turn, the median and the best of all turns, and
the ratios of both: of the time to an answer, and of the processor time of all servers.  Needs h2load and two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import urllib.request
from pathlib import Path

from benchmarks.inference import ATTEMPTS, USERS, check, make, some_attempts
from benchmarks.load import GRPC, LOAD_CORE, Rate, framed, load, served
from keyprint import attempts, simulate
from keyprint.addresses import free_address
from keyprint.moments import moment_at
from keyprint.v1 import attempts_pb2, inference_pb2

CALLERS = 32
TURNS = 5
JSON = ("content-type: application/json",)
MOST = 2.5
"""Times of gRPC that HTTP may cost."""


def main() -> None:
    """Prints what both cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=5000, help="in each turn")
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory() as folder:
        typists = Path(folder) / "typists"
        list(simulate.write(typists, USERS, ATTEMPTS, attempts.DEFAULT_PHRASE))
        documents = sorted(typists.glob("user_*.json"))
        model = make("adaboost", Path(folder) / "adaboost", documents, attempts.DEFAULT_PHRASE)
        attempt = some_attempts(documents, attempts.DEFAULT_PHRASE)[0]
        summary(*turns(model.directory, attempt, calls, Path(folder)))


def turns(directory: Path, attempt: attempts_pb2.Attempt, calls: int, home: Path) -> tuple[list[Rate], list[Rate]]:
    """Of gRPC and of HTTP, in turns."""
    message = framed(inference_pb2.IdentifyRequest(model="m", attempt=attempt).SerializeToString())
    body = json.dumps({"attempt": as_json(attempt)}).encode()
    behind = free_address()
    front = free_address((behind,))
    environment = {
        "KEYPRINT_HOME": str(home),
        "KEYPRINT_GATEWAY_LISTEN": front.listen,
        "KEYPRINT_INFERENCE_ADDRESS": behind.listen,
    }
    command = [sys.executable, "-m", "benchmarks.servers.ours", str(behind.port), "m", str(directory)]
    grpc, http = [], []
    with (
        served(command, behind.port) as inference,
        served([sys.executable, "-m", "gateway"], front.port, environment, LOAD_CORE) as gateway,
    ):
        check(behind.port, attempt)
        identify = f"{front.url.rstrip('/')}/v1/models/m:identify"
        answered(identify, body)
        for _ in range(TURNS):
            direct = f"http://{behind.listen}/keyprint.v1.InferenceService/Identify"
            grpc.append(load(direct, message, GRPC, inference, calls, callers=CALLERS))
            put("gRPC", grpc[-1])
            http.append(load(identify, body, JSON, gateway, calls, True, CALLERS, inference))
            put("HTTP", http[-1])
    return grpc, http


def as_json(attempt: attempts_pb2.Attempt) -> list[dict[str, str]]:
    """As the API takes it."""
    columns = zip(attempt.character, attempt.pressed_at, attempt.released_at, strict=True)
    return [
        {"character": one, "typed_at": moment_at(pressed).isoformat(), "released_at": moment_at(released).isoformat()}
        for one, pressed, released in columns
    ]


def answered(url: str, body: bytes) -> None:
    """Fails if the gateway does not answer rightly."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (our own gateway)
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 (our own gateway)
        found = json.load(answer)
    if found["reason"] or not found["candidates"]:
        raise SystemExit(f"this is no answer: {found}")


def put(name: str, rate: Rate) -> None:
    """Prints one turn."""
    print(
        f"  {name}: {rate.per_second:,.0f} a second, p50 {rate.p50_ms:.1f} ms, p99 {rate.p99_ms:.1f} ms, "
        f"{rate.processor_us:.0f} us of the processor a call",
        flush=True,
    )


def summary(grpc: list[Rate], http: list[Rate]) -> None:
    """Ratios of medians, and of the best turns."""
    for name, unit, what in (("p50", "ms", "p50_ms"), ("processor time", "us", "processor_us")):
        for kind, chosen in (("median", statistics.median), ("best", min)):
            one, other = (chosen(getattr(rate, what) for rate in rates) for rates in (grpc, http))
            print(f"{name}, {kind} of {TURNS} turns: HTTP {other:,.1f} {unit}, gRPC {one:,.1f}: {other / one:.2f} x")
    print(f"At most {MOST} x are wanted of the time to an answer.")


if __name__ == "__main__":
    main()
