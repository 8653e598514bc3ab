"""Where locked weights were fetched from, as URIs that name the very content: pure."""

from collections.abc import Mapping

from modelpack.errors import InputError
from modelpack.lock import WeightsLock
from modelpack.spec import weight_source


def pinned(weights: WeightsLock) -> str:
    """Return the source with the revision that was locked; empty: a folder.

    The lock of somebody's image may say anything: what is no source stands as it was written.
    """
    source = weights.source
    if source is None:
        return ""
    try:
        return weight_source.pinned(source.uri, source.revision)
    except InputError:
        return source.uri


def uris(weights: WeightsLock) -> Mapping[str, str]:
    """Return the URI of each file by its path; nothing for a folder."""
    source = weights.source
    if source is None:
        return {}
    versions = {version.path: version.version for version in source.versions}
    return {
        file.path: weight_source.uri_of(
            source.uri, source.revision, file.path, version=versions.get(file.path, ""),
            single=source.single,
        )
        for file in weights.files
    }  # fmt: skip
