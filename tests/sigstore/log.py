"""A transparency log: RFC 6962 Merkle tree, and checkpoints as C2SP signed notes."""

import base64
import threading
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore.certificates import SHA256, new_key, sha256, spki


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Where an entry stands, and the proof that the tree has it."""

    index: int
    size: int
    root: bytes
    path: tuple[bytes, ...]
    checkpoint: str
    log_id: bytes


@dataclass
class Log:
    """Entries that nobody can take back."""

    origin: str
    "first line of checkpoints; its first word names the key"
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    stale: bool = False
    "fault: checkpoints do not cover the entry that was just added"
    leaves: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def id(self) -> bytes:
        """The name of the key in entries and trusted roots."""
        return sha256(spki(self.key.public_key()))

    def change_key(self) -> None:
        """Go on with another key: what was signed before names the old one."""
        self.key = new_key()

    def sign(self, data: bytes) -> bytes:
        """Sign as the log."""
        return self.key.sign(data, SHA256)

    def add(self, body: bytes) -> Inclusion:
        """Append an entry and prove it."""
        with self._lock:
            self.leaves.append(sha256(b"\0" + body))
            size = len(self.leaves)
            root = merkle_root(self.leaves)
            signed = self.leaves[:-1] if self.stale else self.leaves
            return Inclusion(
                index=size - 1,
                size=size,
                root=root,
                path=inclusion_path(size - 1, self.leaves),
                checkpoint=self._checkpoint(len(signed), merkle_root(signed)),
                log_id=self.id,
            )

    def _checkpoint(self, size: int, root: bytes) -> str:
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self.id[:4] + self.sign(text.encode())).decode()
        return f"{text}\n\N{EM DASH} {self.origin.split(' ')[0]} {signature}\n"


def merkle_root(leaves: list[bytes]) -> bytes:
    """Return the hash of a tree, RFC 6962 §2.1."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"")
    middle = _left(len(leaves))
    return sha256(b"\1" + merkle_root(leaves[:middle]) + merkle_root(leaves[middle:]))


def inclusion_path(index: int, leaves: list[bytes]) -> tuple[bytes, ...]:
    """Return the audit path of a leaf, RFC 6962 §2.1.1."""
    if len(leaves) == 1:
        return ()
    middle = _left(len(leaves))
    left, right = leaves[:middle], leaves[middle:]
    if index < middle:
        return (*inclusion_path(index, left), merkle_root(right))
    return (*inclusion_path(index - middle, right), merkle_root(left))


def _left(size: int) -> int:
    """Return the leaves of the left subtree: the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
