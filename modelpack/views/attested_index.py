"""An image in an index with its SBOM and provenance, where Docker's own tools look for them.

The manifests of the images stay as they are: whoever has signed or deployed one by its digest
still has it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from modelpack.assembly.bill_reading import Described
from modelpack.errors import Finding, InputError
from modelpack.inputs.machine import Machine
from modelpack.inspection import configuration
from modelpack.inspection.documents import Documents
from modelpack.inspection.reading import read_image
from modelpack.inspection.vouching import with_referrers
from modelpack.oci import attestations
from modelpack.oci.copying import Source
from modelpack.oci.layer import Blob, Descriptor
from modelpack.oci.manifest import INDEXES, parse, parse_descriptor, parse_object
from modelpack.oci.overlay import Overlay, View
from modelpack.oci.referrers import EMPTY
from modelpack.trust import predicate_types
from modelpack.trust.statement import PREDICATE_TYPE, Statement, about


def view(source: Source, root: Descriptor, *, machine: Machine) -> View:
    """Return an index of the images that `root` leads to, each with what vouches for it.

    Raises InputError when an image is none of ours: nobody knows then what is in it.
    """
    images, annotations = _images(source, root)
    made, below, findings = list[Blob]([EMPTY]), list[dict[str, Any]](), list[Finding]()
    for value in images:
        image = parse_descriptor(value, at=root.digest)
        documents = with_referrers(source, read_image(source, image))
        statements = [_bill(documents, source, machine), *_provenance(documents)]
        if len(statements) == 1:
            findings.append(_no_provenance(image))
        blobs = [statement.as_blob() for statement in statements]
        layers = [
            replace(blob.descriptor, annotations={PREDICATE_TYPE: statement.predicate_type})
            for blob, statement in zip(blobs, statements, strict=True)
        ]
        manifest = attestations.manifest(image, layers)
        made += [*blobs, manifest]
        below.append(attestations.entry(image.digest, manifest))
    index = attestations.index([*images, *below], annotations)
    return View(
        source=Overlay(source, [*made, index]), root=index.descriptor, findings=tuple(findings)
    )


def _images(source: Source, root: Descriptor) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the entries of the images, as they stand in their index, and its annotations.

    What stood beside them there gives way. An image in no index gets an entry with its platform.
    """
    if root.media_type in INDEXES:
        data = source.read(root)
        entries = parse(data, at=root.digest).manifests
        value = parse_object(data, at=root.digest)
        kept = [
            written for written, entry in zip(value["manifests"], entries, strict=True)
            if attestations.is_image(entry)
        ]  # fmt: skip
        if not kept or any(entry["mediaType"] in INDEXES for entry in kept):
            raise InputError("not an index of images", at=root.digest)
        return kept, value.get("annotations") or {}
    documents = read_image(source, root)
    config = documents.manifest.config
    settings = configuration.parse(documents.config_bytes, config.media_type if config else "")
    if not settings.is_image:
        raise InputError("not a container image", at=root.digest)
    system, _, machine = settings.platform.partition("/")
    architecture, _, variant = machine.partition("/")
    platform = {"os": system, "architecture": architecture, **(
        {"variant": variant} if variant else {}
    )}  # fmt: skip
    bare = Descriptor(media_type=root.media_type, digest=root.digest, size=root.size)
    return [{**bare.as_json(), "platform": platform}], {}


def _bill(documents: Documents, source: Source, machine: Machine) -> Statement:
    """Return the bill of materials in the one format that Docker's tools read."""
    described = Described(documents, source)
    return Statement(
        subjects=about(described.name, documents.descriptor.digest),
        predicate_type=predicate_types.SPDX,
        predicate=described.spdx(machine),
    )


def _provenance(documents: Documents) -> Iterator[Statement]:
    """Yield the provenance that stands beside the image, ours before that of others."""
    digest = documents.descriptor.digest
    found = [
        one for one in documents.referrers
        if one.statement and one.statement.predicate_type == predicate_types.PROVENANCE
        and one.statement.is_about(digest)
    ]  # fmt: skip
    chosen = sorted(found, key=lambda one: (not one.kind, one.descriptor.digest))
    yield from (one.statement for one in chosen[:1] if one.statement)


def _no_provenance(image: Descriptor) -> Finding:
    return Finding(
        message="no provenance stands beside the image: the index has its SBOM alone",
        at=image.digest, rule="attestations.provenance", severity="warning",
        hint="modelpack build writes one",
    )  # fmt: skip
