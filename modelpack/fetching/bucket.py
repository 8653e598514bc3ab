"""Weights in a bucket of S3, or of a server that speaks like it.

Keys, regions, roles and endpoints are found by Amazon's own client where it always looks (AWS_*,
~/.aws, the machine's role). Imports that client, the extra `s3`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from modelpack.errors import InputError, ModelpackError, Unavailable
from modelpack.fetching.place import HINT_MOVED, Listing, RemoteFile, Wanted, legible, moved, told
from modelpack.fetching.ranges import keep_trying
from modelpack.oci.layer import Partial
from modelpack.oci.parallel import each
from modelpack.progress import Advance
from modelpack.spec.weight_source import Bucket, key_of
from modelpack.web.client import Passing

T = TypeVar("T")

_CHUNK = 256 << 10
_TIMEOUT = 30
_POOL = 8
_PATIENCE = 2
_GONE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound"})
_DENIED = frozenset({
    "401", "403", "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId",
    "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired",
})  # fmt: skip
_CHANGED = frozenset({"412", "PreconditionFailed", "416", "InvalidRange"})
_NETWORK = "check the network and AWS_ENDPOINT_URL"
_CREDENTIALS = "let AWS_ACCESS_KEY_ID, AWS_PROFILE or a role name who may read it"


class BucketPlace:
    """Objects below a prefix, or the one object that the source names."""

    def __init__(self, source: Bucket, *, single: bool, at: str) -> None:
        """`single` was found out before; else the listing does."""
        self._source, self._at, self._single = source, at, single
        self._client = _client(at)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def identity(self) -> str:
        """What its contents are remembered under: a bucket's name depends on the server."""
        return f"{self._client.meta.endpoint_url} {self._source}"

    def listing(self, wanted: Wanted) -> Listing:
        """Return the objects below the prefix; where there are none, the object of that name."""
        prefix = self._source.prefix
        folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        keys = self._ask(lambda: list(self._keys(folder)))
        paths = [key[len(folder) :] for key in keys if not key.endswith("/")]
        self._single = not paths and bool(prefix) and not prefix.endswith("/")
        if self._single:
            paths = [prefix.rpartition("/")[2]]
        found = each(
            lambda path, _: self._look(path), [p for p in paths if wanted(p)], lambda _: None
        )
        return Listing(files=found, single=self._single)

    def _keys(self, folder: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._source.bucket, Prefix=folder):
            for item in page.get("Contents", ()):
                yield item["Key"]

    def _look(self, path: str) -> RemoteFile:
        key = key_of(self._source, path, single=self._single)
        found = self._ask(
            lambda: self._client.head_object(Bucket=self._source.bucket, Key=key), path
        )
        # A bucket that keeps no versions says nothing, or `null`.
        version = legible(found.get("VersionId", ""))
        return RemoteFile(
            path=path, size=found["ContentLength"], etag=legible(found.get("ETag", "")),
            version="" if version == "null" else version,
        )  # fmt: skip

    def fill(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        """Write what is missing of `file` to `into`, unchecked."""
        advance(into.size)
        # A connection that is reset takes along what was not read yet: it may bring nothing.
        keep_trying(
            lambda: self._ask(lambda: self._once(into, file, advance), file.path), into,
            patience=_PATIENCE,
        )  # fmt: skip

    def _once(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        start = into.size
        if start == file.size:
            return
        wanted: dict[str, str] = {"Range": f"bytes={start}-"} if start else {}
        if file.version:
            wanted["VersionId"] = file.version
        if file.etag:
            wanted["IfMatch"] = file.etag
        key = key_of(self._source, file.path, single=self._single)
        reply: Mapping[str, Any] = self._client.get_object(
            Bucket=self._source.bucket, Key=key, **wanted
        )
        if start + reply["ContentLength"] != file.size:
            total = start + reply["ContentLength"]
            raise moved(f"it has {total} bytes instead of {file.size}", at=self._where(file.path))
        for chunk in reply["Body"].iter_chunks(_CHUNK):
            into.write(chunk)
            advance(len(chunk))

    def _where(self, path: str) -> str:
        return f"{self._at}: {path}" if path else self._at

    def _ask(self, question: Callable[[], T], path: str = "") -> T:
        """Return the answer of the client, or raise what its refusal means."""
        from botocore.exceptions import (  # noqa: PLC0415  an extra
            BotoCoreError,
            ClientError,
            ConnectionError,  # noqa: A004  botocore's own
            HTTPClientError,
            IncompleteReadError,
        )

        at = self._where(path)
        try:
            return question()
        except ClientError as error:
            raise self._refusal(error.response.get("Error", {}), at, of_file=bool(path)) from error
        except (HTTPClientError, IncompleteReadError) as error:
            raise Passing(
                f"the connection to `{self._source.bucket}` broke: {told(error)}",
                at=at, hint="run it again: what came is kept",
            ) from error  # fmt: skip
        except BotoCoreError as error:
            hint = _NETWORK if isinstance(error, ConnectionError) else _CREDENTIALS
            raise Unavailable(
                f"the bucket cannot be asked: {told(error)}", at=at, hint=hint
            ) from error

    def _refusal(self, said: Mapping[str, Any], at: str, *, of_file: bool) -> ModelpackError:
        code, bucket = str(said.get("Code", "")), self._source.bucket
        if code == "NoSuchBucket" or (code in _GONE and not of_file):
            return InputError(f"there is no bucket `{bucket}`", at=at, hint="check its name")
        if code in _GONE:
            return InputError("there is no such object, or no such version of it any more",
                              at=at, hint=HINT_MOVED)  # fmt: skip
        if code in _CHANGED:
            return moved("the object was overwritten", at=at)
        if code in _DENIED:
            return Unavailable(f"`{bucket}` lets nobody read this with these credentials ({code})",
                               at=at, hint=_CREDENTIALS)  # fmt: skip
        return Unavailable(f"`{bucket}` answers {code or 'nothing useful'}", at=at,
                           hint="try again later")  # fmt: skip


def _client(at: str) -> Any:  # noqa: ANN401  made from a description, without a class
    try:
        import boto3  # noqa: PLC0415  an extra
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError as error:
        raise Unavailable(
            "weights of a bucket need Amazon's client, which is not installed", at=at,
            hint="pip install 'modelpack-build[s3]'",
        ) from error  # fmt: skip
    try:
        session = boto3.session.Session()
        # A public bucket needs no keys, and the client would not ask without any.
        unsigned = {} if session.get_credentials() else {"signature_version": UNSIGNED}
        config = Config(
            connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, max_pool_connections=_POOL,
            retries={"mode": "standard", "max_attempts": 3}, user_agent_extra="modelpack",
            **unsigned,
        )  # fmt: skip
        return session.client("s3", config=config, region_name=session.region_name or "us-east-1")
    except (BotoCoreError, ValueError) as error:
        raise Unavailable(
            f"Amazon's client cannot be set up: {told(error)}", at=at, hint=_CREDENTIALS
        ) from error
