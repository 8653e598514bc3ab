"""Ask a service on this machine over HTTP whether it is healthy: a health check without curl.

``probe.py URL [--timeout SECONDS]`` sends one GET to a loopback address, through no proxy and
following no redirect, and reads only the status line. Exit status 0: the status is 2xx; 1: it is
not, or no answer came within the timeout (5 seconds, for everything together), with one short line
on standard output, which the engine keeps; 2: wrong usage, or a host that is not loopback.

Standard library only, Python 3.9 or newer. It starts every few seconds for as long as the service
lives, so it speaks through a plain socket: importing `urllib.request` alone takes at least twice as
long as this whole program.
"""

from __future__ import annotations

import re
import socket
import sys
import time

HEALTHY = 0
UNHEALTHY = 1
USAGE = 2

TIMEOUT = 5.0
LONGEST_TIMEOUT = 3600.0
LINE_LIMIT = 4096
SUCCESS = range(200, 300)

_URL = re.compile(
    r"""http://
    (?P<host> localhost | 127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3} | \[::1\] )
    (?: :(?P<port>\d{1,5}) )?
    (?P<path> (?:[/?][!-"$-~]*)? )""",
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
# Not resolved: what a resolver says is loopback need not be.
_ADDRESSES = {"localhost": ("127.0.0.1", "::1"), "[::1]": ("::1",)}


def main(arguments: list[str]) -> int:
    """Return the exit status; see the module."""
    try:
        url, timeout = _parse(arguments)
        host, port, path = _split(url)
    except ValueError as error:
        print(error)
        return USAGE
    try:
        status = _ask(host, port, path, time.monotonic() + timeout)
    except (TimeoutError, socket.timeout):  # two classes before Python 3.10
        print(f"no answer within {timeout:g} s")
    except OSError as error:
        print(f"no answer: {error.strerror or error}")
    else:
        if status in SUCCESS:
            return HEALTHY
        print(f"status {status}" if status else "the answer is not HTTP")
    return UNHEALTHY


def _parse(arguments: list[str]) -> tuple[str, float]:
    """Return URL and timeout in seconds, or raise ValueError."""
    words = list(arguments)
    timeout = TIMEOUT
    if "--timeout" in words[:-1]:
        at = words.index("--timeout")
        timeout = float(words.pop(at + 1))
        words.pop(at)
    if not 0 < timeout <= LONGEST_TIMEOUT:  # nor NaN
        raise ValueError(f"the timeout must be more than 0 and at most {LONGEST_TIMEOUT:g} seconds")
    if len(words) != 1 or words[0].startswith("-"):
        raise ValueError("usage: probe.py URL [--timeout SECONDS]")
    return words[0], timeout


def _split(url: str) -> tuple[str, int, str]:
    """Return host, port and path of `url`, or raise ValueError when it is not loopback."""
    match = _URL.fullmatch(url)
    port = int(match["port"] or 80) if match else 0
    if not match or not 0 < port < 1 << 16:
        raise ValueError("the URL must be http://localhost, 127.x.x.x or [::1] with port and path")
    path = match["path"]
    return match["host"].lower(), port, path if path.startswith("/") else f"/{path}"


def _ask(host: str, port: int, path: str, deadline: float) -> int:
    """Return the status that the service answers, or 0 if it does not speak HTTP."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: modelpack-probe\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    )
    answer = b""
    with _connect(host, port, deadline) as connection:
        connection.sendall(request.encode("ascii"))
        while b"\n" not in answer and len(answer) < LINE_LIMIT:
            connection.settimeout(_left(deadline))
            data = connection.recv(LINE_LIMIT)
            if not data:
                break
            answer += data
    match = _STATUS.match(answer)
    return int(match[1]) if match else 0


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Return a connection to the first address of `host` that takes one, or raise OSError."""
    failures = []
    for address in _ADDRESSES.get(host, (host,)):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect((address, port))
        except OSError as error:
            connection.close()
            failures.append(error)
        else:
            return connection
    raise failures[0]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
