"""Small images that tests put into stores."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from modelpack import canonical_json
from modelpack.digest import of as digest_of
from modelpack.oci.image import Image
from modelpack.oci.layer import INDEX, MANIFEST, TAR, Blob, Descriptor, Layer, Pieces, blob_of
from modelpack.oci.referrers import Referrer
from modelpack.oci.store import Root, Store
from modelpack.oci.tar import Content, Entry, pieces
from modelpack.platform import Platform


def nothing(_: int) -> None:
    """Ignore progress."""


def layer(*files: tuple[str, bytes], align: int = 0) -> Layer:
    """Return an uncompressed layer with `files`."""
    data = b"".join(
        piece
        for piece in pieces([Entry(path=p, content=c) for p, c in files], align=align)
        if isinstance(piece, bytes)
    )
    return Layer(blob=blob_of(data, TAR), diff_id=digest_of(data), created_by="test")


def image(*texts: str, architecture: str = "amd64") -> Image:
    """Return an image with a layer for each of `texts`."""
    return Image(
        platform=Platform("linux", architecture),
        config={"User": "10001"},
        created=0,
        layers=tuple(layer((f"file{i}", text.encode())) for i, text in enumerate(texts)),
    )


def put(store: Store, what: Image, *tags: str, vouching: Sequence[Referrer] = ()) -> Descriptor:
    """Write and commit one image."""
    for blob in what.blobs:
        store.write(blob, nothing)
    store.commit([Root(manifest=what.manifest_blob, tags=tags, referrers=tuple(vouching))])
    return what.manifest_blob.descriptor


def referrer(subject: Descriptor, text: str) -> tuple[Blob, Blob]:
    """Return a manifest that vouches for `subject`, and its one blob."""
    content = blob_of(text.encode(), "application/json")
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/json",
        "config": content.descriptor.as_json(),
        "layers": [],
        "subject": subject.as_json(),
    }
    return blob_of(canonical_json.dumps(value), MANIFEST), content


def vouching(text: str, kind: str = "") -> Referrer:
    """Return something that vouches for an image, of a `kind` where it is ours."""
    content = blob_of(text.encode(), "application/json")
    return Referrer(
        artifact_type="application/json", content=content, annotations={"said": text}, kind=kind
    )


def fallback(subject: Descriptor, manifests: Iterable[Blob]) -> Root:
    """Return the list of the referrers of `subject`, under its fallback tag."""
    value = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [blob.descriptor.as_json() for blob in manifests],
    }
    return Root(
        manifest=blob_of(canonical_json.dumps(value), INDEX),
        tags=(subject.digest.replace(":", "-"),),
    )


def lying(blob: Blob, content: Content) -> Blob:
    """Return `blob` with other content behind the same descriptor."""
    return replace(blob, origin=Pieces((content,)))


Make = Callable[[], Store]
