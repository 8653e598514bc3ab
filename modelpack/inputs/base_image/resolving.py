"""From the name of an image to a base pinned by digest: the look-up of `modelpack lock`.

Imports the network stack; import this module where it is needed, not at the top of another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelpack import reference
from modelpack.errors import Finding, InputError, Refused
from modelpack.inputs.base_image import configuration as configurations
from modelpack.inputs.base_image import files, judging, memory
from modelpack.inputs.base_image.configuration import Configuration
from modelpack.inputs.base_image.contents import Contents
from modelpack.inputs.base_image.documents import Documents
from modelpack.inputs.machine import Machine
from modelpack.lock import BaseLayer, ImageBase, Interpreter
from modelpack.oci import attestations
from modelpack.oci.layer import DOCKER_TAR, TAR, TAR_GZIP, TAR_ZSTD, Descriptor
from modelpack.oci.manifest import INDEXES, MANIFESTS, Manifest, parse, printable
from modelpack.platform import Platform

_LAYER_LIMIT = 127
"layers that engines take; ours come on top"
_SIZE_LIMIT = 64 << 30
"bytes of a stored layer: many times the largest that people build on"
_MEDIA_TYPES: Mapping[str, str] = {
    TAR: TAR, TAR_GZIP: TAR_GZIP, TAR_ZSTD: TAR_ZSTD,
    DOCKER_TAR: TAR, f"{DOCKER_TAR}.gzip": TAR_GZIP, f"{DOCKER_TAR}.zstd": TAR_ZSTD,
}  # fmt: skip
"what registries call layers, and what OCI calls them: the same bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """An image as a base, as its registry has it now."""

    base: ImageBase
    interpreter: Interpreter
    epoch: int
    "seconds since 1970: when the image was made"
    findings: tuple[Finding, ...]
    "warnings"


class Lookup:
    """The look-up of one base; a tag is asked for once, for however many platforms."""

    def __init__(self, base: str, *, machine: Machine) -> None:
        self._name = reference.registry(base)
        self._machine = machine
        self._documents = Documents(self._name, machine=machine)

    def resolve(self, platform: Platform, *, python: str, places: tuple[str, ...]) -> Resolved:
        """Return the base for `platform`.

        `python` is `runtime.python` or nothing; `places` are the folders of the image that must be
        ours alone. Raises InputError for what cannot be a base, Refused for what must not be one,
        Unavailable when it cannot be had.
        """
        descriptor, manifest = self._image(platform)
        name = str(self._name)
        assert manifest.config is not None  # noqa: S101  `_image` sees to it
        config = configurations.parse(
            self._documents.configuration(manifest.config.digest), name=name
        )
        if config.platform != platform:
            raise InputError(
                f"`{name}` is for {config.platform}, not {platform}", at="runtime.base"
            )
        base = ImageBase(
            reference=name, digest=descriptor.digest, config=manifest.config.digest,
            layers=tuple(_layers(manifest, config, name)),
        )  # fmt: skip
        contents = self._contents(base, config)
        found = judging.interpreter(contents, name=name, wanted=python, platform=platform)
        if wrong := list(judging.in_the_way(contents, places, name=name)):
            raise InputError(*wrong)
        return Resolved(
            base=_with_environment(base, config, contents), interpreter=found,
            epoch=config.created,
            findings=(
                *config.findings, *judging.findings(contents, name=name), *_zstd(base),
            ),
        )  # fmt: skip

    def _image(self, platform: Platform) -> tuple[Descriptor, Manifest]:
        """Return the manifest for `platform`, by way of an index where there is one."""
        descriptor = self._documents.root
        manifest = parse(self._documents.manifest(descriptor), at=str(self._name))
        if manifest.media_type in INDEXES:
            descriptor = self._chosen(manifest, platform)
            manifest = parse(self._documents.manifest(descriptor), at=str(self._name))
        if manifest.media_type not in MANIFESTS:
            raise InputError("an index in an index", at=str(self._name))
        return descriptor, manifest

    def _chosen(self, index: Manifest, platform: Platform) -> Descriptor:
        images = [child for child in index.manifests if attestations.is_image(child)]
        for child in images:
            if child.platform == platform:
                return child
        known = ", ".join(dict.fromkeys(f"`{printable(str(c.platform))}`" for c in images))
        raise InputError(
            f"`{self._name}` has no image for {platform}", at="runtime.base",
            hint=f"there are {known}" if known else "",
        )  # fmt: skip

    def _contents(self, base: ImageBase, config: Configuration) -> Contents:
        known = memory.find(self._machine.cache, base.digest)
        if known is not None:
            return known
        from modelpack.inputs.base_image.looking import look  # noqa: PLC0415  once for a base

        paths = files.layers(base, machine=self._machine)
        found = look(
            base.layers, paths, search=config.search, name=base.reference,
            progress=self._machine.progress,
        )  # fmt: skip
        memory.keep(self._machine.cache, base.digest, found)
        return found


def _layers(manifest: Manifest, config: Configuration, name: str) -> Iterator[BaseLayer]:
    if len(manifest.layers) != len(config.diff_ids) or len(manifest.layers) > _LAYER_LIMIT:
        raise InputError(
            f"`{name}` has {len(manifest.layers)} layers and {len(config.diff_ids)} diff_ids",
            at="runtime.base",
        )
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        media_type = _MEDIA_TYPES.get(layer.media_type)
        if media_type is None:
            raise Refused(
                f"`{name}` has a layer of the kind `{printable(layer.media_type)}`, which no "
                "registry may pass on, or no engine reads", at="runtime.base",
            )  # fmt: skip
        if layer.size > _SIZE_LIMIT:
            raise Refused(
                f"`{name}` says that a layer has {layer.size} bytes", at="runtime.base",
                hint=f"up to {_SIZE_LIMIT} are downloaded",
            )  # fmt: skip
        yield BaseLayer(
            digest=layer.digest, diff_id=diff_id, size=layer.size, media_type=media_type
        )


def _zstd(base: ImageBase) -> Iterator[Finding]:
    if any(layer.media_type == TAR_ZSTD for layer in base.layers):
        yield Finding(
            message=f"layers of `{base.reference}` are compressed with zstd, which no Docker "
            "before 23 can read", at="runtime.base", rule="base.zstd", severity="warning",
            hint="choose an image with gzip where old engines run it",
        )  # fmt: skip


def _with_environment(base: ImageBase, config: Configuration, contents: Contents) -> ImageBase:
    """Return `base` with the variables that the image keeps, and one for its certificates."""
    kept = dict(config.environment)
    if kept.get("SSL_CERT_FILE", "") not in contents.certificates:
        kept.pop("SSL_CERT_FILE", None)
    if contents.certificates:
        kept.setdefault("SSL_CERT_FILE", contents.certificates[0])
    return ImageBase(
        reference=base.reference, digest=base.digest, config=base.config, layers=base.layers,
        environment=tuple(f"{key}={value}" for key, value in sorted(kept.items())),
    )  # fmt: skip
