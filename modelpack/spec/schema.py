"""The JSON Schema of `modelpack.toml`, made from the dataclasses that the decoder fills."""

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from datetime import date
from types import MappingProxyType
from typing import Any, Final, Literal, get_args, get_origin

from modelpack.spec import Spec
from modelpack.spec.grammar import MAX_ITEMS, MAX_TEXT, SPEC, Form, Grammar
from modelpack.spec.rules import SCHEMA
from modelpack.spec.structure import is_required, key_of, table_fields

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

DESCRIPTIONS: Mapping[str, str] = MappingProxyType({
    "schema": "Version of this file's format: 1.",
    "model": "What the image holds.",
    "model.name": "Lowercase letters and digits, joined by `.`, `_` or `-`.",
    "model.version": "Version of the model, usable as an image tag.",
    "model.license": "SPDX licence expression of the weights, such as `Apache-2.0`.",
    "model.description": "One line for people.",
    "model.task": "What it does, in Hugging Face's words, such as `feature-extraction`.",
    "model.architecture": "Family of the network, such as `bert`.",
    "model.framework": "What loads the weights, such as `torch` or `numpy`.",
    "model.base": "Model that this one was made from, as purl or URI.",
    "training": "Where the weights come from, the author's claims.",
    "training.run": "URL of the training run.",
    "training.source": "Training code with its commit, such as `git+https://…@<commit>`.",
    "training.data": "Data sets that the model was trained on.",
    "training.data.name": "Name of the data set.",
    "training.data.version": "Version of the data set.",
    "training.data.uri": "Where the data set lies.",
    "training.data.digest": "Digest of the data set, such as `sha256:…`.",
    "weights": "Weight files; `[[weights]]` with a name each when there are several sets.",
    "weights.name": "Name of this set; the first one's default is `model.name`.",
    "weights.path": "Folder of the weight files.",
    "weights.source": "Instead of `path`: `hf://org/repo@commit`, `s3://…`, `https://…`, `oci:…`, "
    "or an image in a registry.",
    "weights.include": "Patterns of the files that are packed; default: safetensors and what lies "
    "beside them, in a folder without them ONNX, GGUF, UBJSON and NumPy files.",
    "weights.exclude": "Patterns of files that are left out.",
    "weights.destination": "Folder in the image; default `/models/<name>`.",
    "weights.mode": "`bake`: layers of the image; `mount`: a weights image of their own.",
    "weights.require": "Files that must be there and readable, such as `tokenizer.json`.",
    "weights.allow-unsafe": "Named exceptions for formats that can carry code.",
    "weights.allow-imports": "What such files may import though an opcode scan calls it malicious.",
    "weights.signature": "Signature of its publisher (OpenSSF Model Signing) that must hold.",
    "weights.signature.file": "The signature, such as `weights/model.sig`.",
    "weights.signature.key": "PEM file of the public key that it must be made with.",
    "weights.signature.identity": "Instead of `key`: who must have made it, as in the certificate.",
    "weights.signature.issuer": "Who vouches for `identity`, such as an OIDC issuer's URL.",
    "weights.signature.trusted-root": "Sigstore trusted root, a file; default: the public one.",
    "code": "The files that use the weights, and the command that starts them.",
    "code.command": "Program and arguments that serve the model; no shell.",
    "code.path": "Folder of the code, relative to this file.",
    "code.include": "Patterns of packed files; default: all but .git, environments, dist, weights.",
    "code.exclude": "Patterns of files that are left out.",
    "code.workdir": "Folder of the code in the image.",
    "dependencies": "Python packages, locked with hashes.",
    "dependencies.lockfile": "Hash-locked requirements, or a pylock.toml.",
    "dependencies.source": "Input that `modelpack lock` compiles the lockfile from.",
    "dependencies.development": "Hash-locked requirements of [checks]; no image holds them.",
    "dependencies.indexes": "Names of package indexes; their URLs are each machine's business.",
    "runtime": "What the code runs on and how it is started.",
    "runtime.device": "`cuda` when the code needs an NVIDIA GPU.",
    "runtime.base": "`debian:13`, `debian:12`, or an image in a registry.",
    "runtime.python": "Python that the base must have, such as `3.13`.",
    "runtime.packages": "Further Debian packages.",
    "runtime.allow-missing": "Shared libraries that may be missing, such as `libtbb.so.12`.",
    "runtime.port": "TCP port of the service; 0: none.",
    "runtime.user": "Numeric user, never 0.",
    "runtime.environment": "Environment variables of the service; no secrets.",
    "runtime.verify": "How the weights are checked at each start.",
    "runtime.verify-override": "Whether MODELPACK_VERIFY may weaken that check at start.",
    "runtime.verify-mounts": "`strict`: refuse mounted weights that can be written to.",
    "runtime.require-signature": "Start only weights that a mounted key, or identity, has signed.",
    "runtime.bytecode": "How Python files are compiled ahead.",
    "runtime.health": "Paths of the service's own endpoints.",
    "runtime.health.live": "Answers 200 while the process works.",
    "runtime.health.ready": "Answers 200 once the weights are loaded.",
    "runtime.health.version": "Answers with the versions of model and image.",
    "runtime.health.metrics": "Answers with Prometheus metrics.",
    "runtime.gpu": 'GPUs that the image must run on, with `device = "cuda"`.',
    "runtime.gpu.targets": "GPU architectures, such as `sm_90`.",
    "runtime.gpu.memory": "Memory of the GPUs that it runs on, all together, such as `80 GiB`.",
    "runtime.gpu.overhead": "Memory beside the weights: CUDA, activations, caches; default 2 GiB.",
    "runtime.gpu.driver": "Least version of the host's NVIDIA driver, such as `550`.",
    "interface": "What the service answers, as files.",
    "interface.openapi": "OpenAPI document.",
    "interface.input": "JSON Schema of a request.",
    "interface.output": "JSON Schema of an answer.",
    "interface.served": "Path at which the service serves its OpenAPI document.",
    "image": "Names and outer form of the result.",
    "image.repository": "Repository that it is pushed to, such as `ghcr.io/acme/minilm`.",
    "image.tags": "Tags; default: `model.version`.",
    "image.platforms": "Platforms that are built.",
    "image.labels": "Further labels under keys of your own.",
    "image.compression": "Of base, dependencies and code; weights stay uncompressed.",
    "checks": "Your own gates for `modelpack check --run`: name = [program, arguments…].",
    "test": "Functional gate of the running image.",
    "test.golden": "Requests with their expected answers.",
    "test.concurrency": "Clients that ask at once while it is measured.",
    "test.duration": "For how long they ask, such as `10s`.",
    "test.limits": "What the running image may take at most.",
    "card": "What the model is for.",
    "card.intended-use": "What it is meant for.",
    "card.limitations": "What it is not good at.",
    "evaluation": "Metrics of the model and what they must reach.",
    "evaluation.report": "JSON file with metrics.",
    "evaluation.require": 'Bounds, such as `accuracy = ">= 0.9"`.',
    "scan": "What a vulnerability scan must not find.",
    "scan.fail-on": "Least severity that fails.",
    "scan.fixed-only": "Only count vulnerabilities that have a fix.",
    "scan.database-max-age": "Oldest vulnerability database that counts, such as `7d`.",
    "scan.deny-licenses": "SPDX identifiers that no package may have.",
    "scan.ignore": "What is accepted until a day, with the reason.",
    "scan.ignore.id": "Vulnerability, misconfiguration, licence or rule for secrets.",
    "scan.ignore.reason": "Why it does not matter here.",
    "scan.ignore.expires": "Last day of this exception.",
    "scan.ignore.package": "Only in this package.",
    "scan.ignore.path": "Only at this path in the image; secrets need one.",
    "scan.ignore.state": "What the VEX document says of it, in CycloneDX's words.",
    "sign": "What a signature stands for.",
    "sign.require": "Gates that must have passed for this very digest.",
})  # fmt: skip


def document() -> dict[str, Any]:
    """Return the schema, JSON Schema 2020-12, for taplo, Even Better TOML and other editors."""
    return {
        "$schema": DIALECT,
        "title": "modelpack.toml",
        "description": "A model, its code and its dependencies, for `modelpack build`.",
        **properties_of(Spec, SPEC, DESCRIPTIONS),
    }


def properties_of(table: type, grammar: Grammar, descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Return what a schema says of the table that a whole file is."""
    return _Schema(grammar, descriptions).table(table, "")


def places(table: type = Spec, place: str = "") -> list[str]:
    """Return the dotted path of every key of the file, without positions."""
    found = []
    for key, (_, kind) in table_fields(table).items():
        here = f"{place}.{key}" if place else key
        found.append(here)
        inner = get_args(kind)[0] if get_origin(kind) is tuple else kind
        if isinstance(inner, type) and is_dataclass(inner):
            found += places(inner, here)
    return found


@dataclass(frozen=True, slots=True)
class _Schema:
    grammar: Grammar
    descriptions: Mapping[str, str]

    def table(self, table: type, place: str) -> dict[str, Any]:
        properties, required = {}, []
        for key, (table_field, kind) in table_fields(table).items():
            here = f"{place}.{key}" if place else key
            properties[key] = {"description": self.descriptions[here], **self._value(kind, here)}
            if is_required(table_field):
                required.append(key_of(table_field.name))
            elif isinstance(table_field.default, str | int) and table_field.default != "":
                properties[key]["default"] = table_field.default
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _value(  # noqa: PLR0911  one for each kind of annotation
        self,
        kind: Any,  # noqa: ANN401  any annotation of the Spec
        place: str,
        *,
        element: bool = False,
    ) -> dict[str, Any]:
        origin, arguments = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and is_dataclass(kind):
            return self.table(kind, place)
        if origin is tuple:
            return self._array(arguments[0], place)
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin is not None:
            return self._mapping(arguments[1], place)
        if kind is str:
            form = self.grammar.forms.get(place)
            return _text(
                form, required=place in self.grammar.not_blank or (element and form is not None)
            )
        if kind is date:
            return {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
        return self._number(kind, place)

    def _number(self, kind: type, place: str) -> dict[str, Any]:
        if place == "schema":
            return {"type": "integer", "const": SCHEMA}
        if kind is bool:
            return {"type": "boolean"}
        least, most = self.grammar.ranges[place]
        return {"type": "integer", "minimum": least, "maximum": most}

    def _array(self, kind: Any, place: str) -> dict[str, Any]:  # noqa: ANN401  any annotation
        items = self._value(kind, place, element=True)
        array: dict[str, Any] = {"type": "array", "items": items, "maxItems": MAX_ITEMS}
        if place in self.grammar.not_empty:
            array["minItems"] = 1
        if place not in self.grammar.repeatable:
            array["uniqueItems"] = True
        return {"anyOf": [items, array]} if place in self.grammar.table_or_array else array

    def _mapping(self, kind: Any, place: str) -> dict[str, Any]:  # noqa: ANN401  any annotation
        if place in self.grammar.limits:
            limits = self.grammar.limits[place]
            values = {key: _text(form, required=True) for key, form in limits.items()}
            return {"type": "object", "properties": values, "additionalProperties": False}
        mapping = {
            "type": "object",
            "additionalProperties": self._value(kind, f"{place}.*", element=True),
            "maxProperties": MAX_ITEMS,
        }
        if place in self.grammar.key_forms:
            mapping["propertyNames"] = {"pattern": f"^(?:{self.grammar.key_forms[place].pattern})$"}
        return mapping


def _text(form: Form | None, *, required: bool) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "maxLength": MAX_TEXT}
    if form:
        text["pattern"] = f"^(?:{form.pattern})$" if required else f"^(?:{form.pattern})?$"
    elif required:
        text["minLength"] = 1
    return text
