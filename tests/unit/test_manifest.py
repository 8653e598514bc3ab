"""Manifests of others: what is read of them, and what is refused."""

import json
from typing import Any

import pytest

from modelpack.errors import InputError
from modelpack.oci.layer import MANIFEST
from modelpack.oci.manifest import parse

DESCRIPTOR = {"mediaType": "application/json", "digest": "sha256:" + "ab" * 32, "size": 2}


def manifest(**members: Any) -> bytes:
    value = {"schemaVersion": 2, "mediaType": MANIFEST, "config": DESCRIPTOR, "layers": []}
    return json.dumps(value | members).encode()


def test_annotations_are_texts() -> None:
    assert parse(manifest(annotations={"a": "\N{SNOWMAN}"})).annotations == {"a": "\N{SNOWMAN}"}


@pytest.mark.parametrize("value", [1, None, ["a"], {"a": "b"}, "\ud800", "a\udfffb"])
def test_what_is_no_text_is_refused(value: Any) -> None:
    """JSON can write half a character; nothing could store or print it."""
    with pytest.raises(InputError, match="not a text"):
        parse(manifest(annotations={"a": value}))
    with pytest.raises(InputError, match="not a text"):
        parse(manifest(layers=[{**DESCRIPTOR, "annotations": {"a": value}}]))
