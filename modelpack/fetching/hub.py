"""Weights in a repository of the Hugging Face Hub, or of a server that speaks like it.

The hub's own client asks what is there; the bytes come through our client, which goes on where a
connection broke and keeps the token from other hosts. Imports the network stack and the extra `hf`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from modelpack.errors import InputError, ModelpackError, Refused, Unavailable
from modelpack.fetching import ranges
from modelpack.fetching.place import Listing, RemoteFile, Wanted, told
from modelpack.oci.layer import Partial
from modelpack.progress import Advance
from modelpack.spec.weight_source import Hub, is_commit
from modelpack.web.client import Client, Gone
from modelpack.web.urls import host_of, is_loopback, is_web, origin

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

T = TypeVar("T")

DEFAULT_ENDPOINT = "https://huggingface.co"
_TIMEOUT = 30.0
_SIZE_LIMIT = 1 << 63
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_ACCESS_HINT = "set HF_TOKEN to a token that may read it, and accept its terms on the hub"


class HubPlace:
    """The files of one repository; HF_ENDPOINT and HF_TOKEN are the machine's business."""

    def __init__(
        self, source: Hub, *, commit: str, environment: Mapping[str, str], at: str
    ) -> None:
        """`commit` was resolved before; empty: the source's revision is looked up."""
        self._source, self._at = source, at
        self._commit = commit
        self._endpoint = endpoint(environment)
        self._token = token(environment)
        if self._token and not _is_private(self._endpoint):
            raise InputError(
                "speaks http, which would show the token to everybody on the way",
                at="HF_ENDPOINT", hint="use https, or unset HF_TOKEN",
            )  # fmt: skip
        self._client = Client(environment)

    @property
    def identity(self) -> str:
        """What its contents are remembered under: what a commit holds depends on the server."""
        return f"{self._endpoint} {self._source.repository}@{self._commit}"

    def listing(self, wanted: Wanted) -> Listing:
        """Return the files of the commit that the revision leads to now."""
        api = self._api()
        from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415

        name = self._source.repository
        commit = self._ask(
            lambda: api.model_info(name, revision=self._source.revision, timeout=_TIMEOUT).sha
        )
        if not isinstance(commit, str) or not is_commit(commit):
            raise Refused("the hub names no commit for the revision", at=self._at)
        if is_commit(self._source.revision) and commit != self._source.revision:
            raise Refused(
                f"the hub answers with commit {commit} instead of {self._source.revision}",
                at=self._at,
            )
        self._commit = commit
        tree = self._ask(lambda: list(api.list_repo_tree(name, revision=commit, recursive=True)))
        files = (self._file(item) for item in tree if isinstance(item, RepoFile))
        return Listing(files=tuple(file for file in files if wanted(file.path)), revision=commit)

    def _file(self, item: "RepoFile") -> RemoteFile:
        """Return what the hub says of a file; its client takes any JSON for that."""
        path: object = item.path
        size: object = item.lfs.size if item.lfs else item.size
        sha256: object = item.lfs.sha256 if item.lfs else ""
        if not (
            isinstance(path, str) and type(size) is int and 0 <= size < _SIZE_LIMIT
            and isinstance(sha256, str) and _SHA256.fullmatch(sha256)
        ):  # fmt: skip
            raise Refused("the hub describes a file in a way that makes no sense", at=self._at)
        return RemoteFile(path=path, size=size, sha256=sha256)

    def fill(self, into: Partial, file: RemoteFile, advance: Advance) -> None:
        """Write what is missing of `file` to `into`, unchecked."""
        hub = _hub_module(self._at)
        url = hub.hf_hub_url(
            self._source.repository, file.path, revision=self._commit, endpoint=self._endpoint
        )
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        request = ranges.Request(
            url=url, size=file.size, at=f"{self._at}: {file.path}", headers=headers, lasting=True,
            denied_hint=_ACCESS_HINT,
        )  # fmt: skip
        try:
            ranges.fill(self._client, request, into, advance)
        except Gone as error:
            raise Unavailable(
                f"commit {self._commit} has no such file any more", at=request.at,
                hint="modelpack lock --upgrade weights",
            ) from error  # fmt: skip

    def _api(self) -> "HfApi":
        # False, not None: a token is the one that was read at the door, or there is none.
        api: HfApi = _hub_module(self._at).HfApi(
            endpoint=self._endpoint, token=self._token or False, library_name="modelpack"
        )
        return api

    def _ask(self, question: Callable[[], T]) -> T:
        """Return the answer of the hub's client, or raise what its refusal means."""
        from huggingface_hub import errors  # noqa: PLC0415

        name, revision = self._source.repository, self._source.revision
        try:
            return question()
        except errors.GatedRepoError as error:
            raise Unavailable(
                f"`{name}` is gated: the hub gives it to those who accepted its terms",
                at=self._at, hint=_ACCESS_HINT,
            ) from error  # fmt: skip
        except errors.RepositoryNotFoundError as error:
            raise InputError(
                f"`{host_of(self._endpoint)}` has no repository `{name}`, or shows it to few",
                at=self._at, hint="check the name; for a private one set HF_TOKEN",
            ) from error  # fmt: skip
        except errors.RevisionNotFoundError as error:
            raise InputError(
                f"`{name}` has no revision `{revision}`", at=self._at,
                hint="name a commit, a branch or a tag",
            ) from error  # fmt: skip
        except errors.HFValidationError as error:
            raise InputError(f"the hub's client does not take `{name}`", at=self._at) from error
        except errors.HfHubHTTPError as error:
            status = error.response.status_code
            hint = _ACCESS_HINT if status in (401, 403) else "try again later"
            raise Unavailable(
                f"`{host_of(self._endpoint)}` answers {status}", at=self._at, hint=hint
            ) from error
        except ModelpackError:
            raise
        except Exception as error:
            # The client lets pass what its own http library raises, which has changed before.
            raise Unavailable(
                f"cannot read from `{host_of(self._endpoint)}`: {told(error)}",
                at=self._at, hint="check the network and HF_ENDPOINT; unset HF_HUB_OFFLINE",
            ) from error  # fmt: skip


def _hub_module(at: str) -> Any:  # noqa: ANN401  the module
    try:
        import huggingface_hub  # noqa: PLC0415  an extra
    except ImportError as error:
        raise Unavailable(
            "weights of a hub need its client, which is not installed", at=at,
            hint="pip install 'modelpack-build[hf]'",
        ) from error  # fmt: skip
    return huggingface_hub


def _is_private(url: str) -> bool:
    """Tell whether nobody can listen to what is said to the server of `url`."""
    scheme, host, _ = origin(url)
    return scheme == "https" or is_loopback(host)


def endpoint(environment: Mapping[str, str]) -> str:
    """Return the URL of the hub: HF_ENDPOINT, else the public one."""
    chosen = environment.get("HF_ENDPOINT", "").rstrip("/") or DEFAULT_ENDPOINT
    if not is_web(chosen):
        raise InputError("not a http or https URL", at="HF_ENDPOINT")
    return chosen


def token(environment: Mapping[str, str]) -> str:
    """Return HF_TOKEN, else what `hf auth login` left in HF_TOKEN_PATH or HF_HOME; or nothing."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if found := "".join(environment.get(name, "").split()):
            return found
    home = environment.get("HOME", "")
    cache = environment.get("XDG_CACHE_HOME", "") or (f"{home}/.cache" if home else "")
    folder = environment.get("HF_HOME", "") or (f"{cache}/huggingface" if cache else "")
    path = environment.get("HF_TOKEN_PATH", "") or (f"{folder}/token" if folder else "")
    try:
        return "".join(Path(path).expanduser().read_text("utf-8").split()) if path else ""
    except (OSError, UnicodeDecodeError, RuntimeError):
        return ""
