"""A door in front of a server on loopback: counts what goes through, holds it back, cuts it off."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CountingProxy:
    """Where it listens, what went through, and when it stops that."""

    target: tuple[str, int]
    address: str = ""
    sent: int = 0
    "bytes from clients to the server"
    received: int = 0
    "bytes from the server to clients"
    hold_at: int | None = None
    "bytes in both directions after which nothing goes through until `release`"
    cut_at: int | None = None
    "bytes in both directions after which all connections are cut, once"
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def release(self) -> None:
        """Let everything through again."""
        self.hold_at = None
        self.released.set()

    def carried(self) -> int:
        return self.sent + self.received

    def hang_up(self) -> None:
        """Cut all connections, so that who sends notices at once."""
        for one in self.sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.sockets.clear()

    def carry(self, source: socket.socket, sink: socket.socket, *, up: bool) -> None:
        """Forward one direction of a connection until it ends."""
        with suppress(OSError):
            while data := source.recv(64 << 10):
                if self.hold_at is not None and self.carried() + len(data) > self.hold_at:
                    self.held.set()
                    self.released.wait(60)
                if self.cut_at is not None and self.carried() + len(data) > self.cut_at:
                    self.cut_at = None
                    self.hang_up()
                    break
                with self.lock:
                    if up:
                        self.sent += len(data)
                    else:
                        self.received += len(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def counting(address: str) -> Iterator[CountingProxy]:
    """Listen in front of the server at `address`."""
    host, _, port = address.partition(":")
    proxy = CountingProxy(target=(host, int(port)))
    listening = socket.create_server(("127.0.0.1", 0))
    proxy.address = f"127.0.0.1:{listening.getsockname()[1]}"
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection(proxy.target)
                proxy.sockets += [client, server]
                for source, sink, up in ((client, server, True), (server, client, False)):
                    thread = threading.Thread(
                        target=proxy.carry, args=(source, sink), kwargs={"up": up}, daemon=True
                    )
                    thread.start()
                    threads.append(thread)

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        proxy.release()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        proxy.hang_up()
        accepting.join(10)
        for thread in threads:
            thread.join(10)
