"""Ask a service from inside its container: what `modelpack test` runs there, beside the service.

`python -I -c SOURCE PORT` reads one task from stdin, a line with the length of the JSON that
follows, and writes one JSON object. Tasks: `wait` until the service says that it is ready; `ask`
requests in order; `load` it with requests for a time. Nothing is judged here.

Standard library only, Python 3.9 or newer: the image's own interpreter runs it.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import threading
import time
from typing import Any

Answer = dict[str, Any]
Request = dict[str, Any]
Task = dict[str, Any]

POLL = 0.02
"seconds between two looks whether it is ready"
LIMIT = 64 << 20
"bytes of one answer that are read"
SUCCESS = range(200, 300)


class Client:
    """One connection to the service, which is kept as long as the service keeps it."""

    def __init__(self, port: int, timeout: float) -> None:
        self.port, self.timeout = port, timeout
        self.connection: http.client.HTTPConnection | None = None

    def ask(self, request: Request) -> Answer:
        """Return what is answered; `error` instead of a status where nothing is."""
        started = time.perf_counter()
        kept = self.connection is not None
        try:
            try:
                answer = self._ask(request)
            except (ConnectionError, http.client.BadStatusLine):
                if not kept:
                    raise
                answer = self._ask(request)  # the service had ended the connection
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return {"status": 0, "error": str(reason), "seconds": time.perf_counter() - started}
        # Our own program that calls functions knows what they alone took.
        taken = answer.pop("taken", None)
        seconds = time.perf_counter() - started if taken is None else float(taken)
        return {**answer, "seconds": seconds}

    def _ask(self, request: Request) -> Answer:
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection(
                    "127.0.0.1", self.port, timeout=self.timeout
                )
            self.connection.request(
                request["method"], request["path"], request["body"], request["headers"]
            )
            answer = self.connection.getresponse()
            body = answer.read(LIMIT + 1)
        except BaseException:
            self.close()
            raise
        if answer.will_close or len(body) > LIMIT:
            self.close()
        if len(body) > LIMIT:
            raise OSError(f"it answers more than {LIMIT} bytes")
        found = {"status": answer.status, "headers": answer.getheaders(), "body": body}
        taken = answer.getheader("X-Seconds") if request.get("timed") else None
        return found if taken is None else {**found, "taken": taken}

    def close(self) -> None:
        """End the connection."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def get(path: str) -> Request:
    """Return a request for `path`."""
    return {"method": "GET", "path": path, "body": None, "headers": {}}


def wait(task: Task) -> Answer:
    """Look until the service is ready, then ask the first request at once."""
    client = Client(task["port"], task["timeout"])
    started = time.monotonic()
    before: dict[str, int] = {}
    live: float | None = None
    ready: float | None = None
    while time.monotonic() - started < task["seconds"]:
        if task["live"] and live is None:
            answer = client.ask(get(task["live"]))
            if answer["status"] in SUCCESS:
                live = time.monotonic() - started
        answer = client.ask(get(task["ready"]))
        # Where no endpoint is declared, whoever answers at all is ready.
        if answer["status"] in SUCCESS or (answer["status"] and not task["declared"]):
            ready = time.monotonic()
            break
        word = str(answer["status"] or answer["error"])
        before[word] = before.get(word, 0) + 1
        time.sleep(POLL)
    first = client.ask(task["first"]) if ready is not None and task["first"] else None
    client.close()
    return {
        "ready": None if ready is None else ready - started,
        "live": live,
        "before": before,
        "first": first,
        "uid": uid(),
        "after": 0 if ready is None else time.monotonic() - ready,
    }


def ask(task: Task) -> Answer:
    """Ask each request so many times, in order."""
    client = Client(task["port"], task["timeout"])
    answers = [client.ask(one) for one in task["requests"] for _ in range(task["times"])]
    client.close()
    return {"answers": answers}


def load(task: Task) -> Answer:
    """Ask the requests in turn, by so many clients at once, for so long.

    The last answer to each is kept, so that it can be seen whether load changes answers.
    """
    requests, end = task["requests"], time.monotonic() + task["seconds"]
    times: list[float] = []
    wrong: list[Answer] = []
    last: dict[str, Answer] = {}

    def work(number: int) -> None:
        client = Client(task["port"], task["timeout"])
        while True:  # at least once, however short the time is
            request = requests[number % len(requests)]
            number += 1
            answer = client.ask(request)
            times.append(answer["seconds"])
            last[request["name"]] = answer
            if answer["status"] != request["expected"]:
                wrong.append({"request": request["name"], "answer": answer})
            if time.monotonic() >= end:
                break
        client.close()

    workers = [
        threading.Thread(target=work, args=(number,)) for number in range(task["concurrency"])
    ]
    started = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    times.sort()
    return {
        "count": len(times),
        "seconds": time.monotonic() - started,
        "percentiles": {str(p): times[max(-(-len(times) * p // 100) - 1, 0)] for p in (50, 95, 99)},
        "wrong": len(wrong),
        "first_wrong": wrong[0] if wrong else None,
        "last": last,
        "killed": killed(),
    }


def uid() -> int | None:
    """Return the effective user of the service, process 1; None where it cannot be seen."""
    try:
        with open("/proc/1/status", encoding="ascii", errors="replace") as status:
            lines = [line.split() for line in status if line.startswith("Uid:")]
        return int(lines[0][2])
    except (OSError, LookupError, ValueError):
        return None


def killed() -> int | None:
    """Return how many processes were killed for memory (cgroup v2); None where none can tell."""
    try:
        with open("/sys/fs/cgroup/memory.events", encoding="ascii") as events:
            return int(dict(line.split() for line in events)["oom_kill"])
    except (OSError, LookupError, ValueError):
        return None


def encoded(value: bytes) -> dict[str, str]:
    """Return bytes in JSON."""
    return {" base64": base64.b64encode(value).decode()}


def decoded(value: dict[str, Any]) -> Any:  # noqa: ANN401  JSON
    """Return bytes from JSON."""
    return base64.b64decode(value[" base64"]) if set(value) == {" base64"} else value


def do(data: bytes, port: int) -> str:
    """Do the task in `data`, and return what came of it."""
    task = json.loads(data, object_hook=decoded)
    task["port"] = port
    result = {"wait": wait, "ask": ask, "load": load}[task["do"]](task)
    return json.dumps(result, default=encoded)


def main() -> None:
    """Do the one task."""
    size = int(sys.stdin.buffer.readline(32))
    sys.stdout.write(do(sys.stdin.buffer.read(size), int(sys.argv[1])))


if __name__ == "__main__":
    main()
