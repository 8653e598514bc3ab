"""Any spec that is accepted gives documents that are valid by the official rules."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from modelpack.canonical_json import dumps
from modelpack.evidence import components, cyclonedx, spdx
from modelpack.evidence.inventory import Inventory, Model, Package
from modelpack.evidence.named_image import NamedImage
from modelpack.inputs.licenses import Licenses, all_of
from modelpack.lock import purls
from modelpack.spec import Card, Spec, Training, TrainingData
from modelpack.spec import Model as ModelTable
from tests import values

STRICT = JsonStrictValidator(SchemaVersion.V1_6)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=20)
IMAGE = NamedImage(
    digest=values.digest("f"), repository="ghcr.io/acme/x", tag="1", platform=values.AMD64,
    created=0, properties={"source:revision": "r"},
)  # fmt: skip


URI = st.one_of(TEXT, WORD.map("s3://{}".format), WORD.map("a:{}".format))
SPECS = st.builds(
    values.spec,
    model=st.builds(
        ModelTable, name=st.just("x"), version=WORD, description=TEXT, task=TEXT,
        architecture=TEXT, framework=TEXT, base=TEXT,
        license=st.sampled_from(["", "MIT", "LicenseRef-a.b", "MIT OR (ISC AND 0BSD)"]),
    ),
    training=st.builds(Training, run=TEXT, source=TEXT, data=st.lists(st.builds(
        TrainingData, name=WORD, version=TEXT, uri=URI,
        digest=st.sampled_from([values.digest("a"), "md5:0", ""]),
    ), max_size=3).map(tuple)),
    card=st.builds(Card, intended_use=TEXT, limitations=TEXT),
)  # fmt: skip
PACKAGES = st.lists(
    st.builds(
        lambda kind, name, version, licenses, path: Package(
            kind=kind, name=name, version=version, licenses=licenses, path=path, source=name,
            purl=purls.package_url(kind, name.lower(), version),
        ),
        st.sampled_from(["deb", "pypi"]),
        st.text("abcDE.-_+09", min_size=1, max_size=10).map("p{}".format),
        WORD,
        st.one_of(
            st.just(Licenses()),
            st.lists(st.one_of(WORD, st.sampled_from(["MIT", "ISC OR MIT"])), max_size=3).map(
                lambda stated: all_of(stated, known={})
            ),
        ),
        st.one_of(st.just(""), WORD),
    ),
    max_size=4,
    unique_by=lambda package: package.ref,
)  # fmt: skip


@given(SPECS, PACKAGES, st.booleans())
@settings(max_examples=100)
def test_any_spec_gives_valid_documents(
    spec: Spec, packages: list[Package], complete: bool
) -> None:
    inventory = Inventory(
        spec=spec, models=(Model(weights=values.weights_lock(), mounted=False),),
        packages=tuple(packages), complete=complete, system={"ID": "debian"},
        metrics={"a b": "1e-9"},
    )  # fmt: skip
    bom = cyclonedx.document(components.body(inventory), IMAGE)
    assert STRICT.validate_str(dumps(bom).decode()) is None
    parsed = JsonLikeDictParser().parse(json.loads(dumps(spdx.document(inventory, IMAGE))))
    assert [str(message) for message in validate_full_spdx_document(parsed, "SPDX-2.3")] == []
