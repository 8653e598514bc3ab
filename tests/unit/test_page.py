"""The page of `inspect --html`: what it shows, and that nothing in an image steers a browser."""

import base64
import hashlib
import html.parser
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jinja2
import pytest

from modelpack import digest as digests
from modelpack import templates
from modelpack.__main__ import main
from modelpack.cli import display
from modelpack.cli.display.page import html as page
from modelpack.cli.display.page import lineage as page_lineage
from modelpack.cli.display.page import treemap as page_treemap
from modelpack.cli.display.page.weights import Tensors
from modelpack.inspection.beside import (
    EvaluationClaim,
    MetricClaim,
    ReferrerClaim,
    ScanClaim,
    VerdictClaim,
    VulnerabilityClaim,
)
from modelpack.inspection.describing import describe
from modelpack.inspection.reading import read
from modelpack.inspection.value import (
    AnswerClaim,
    DataClaim,
    Inspection,
    InterfaceClaim,
    LayerClaim,
    ModelClaim,
    OperationClaim,
    TrainingClaim,
)
from modelpack.interface.fields import Field
from modelpack.lock.tensors import Tensor
from modelpack.verifying.report import Judged, Report, Requirement
from tests.described_image import complete, shelf_of
from tests.sigstore.certificates import new_key, public_pem
from tests.unit.test_inspect_command import write_layout

SHEETS = page.Sheets(page=templates.text(page.TEMPLATE), style=templates.text(page.STYLE))
HOSTILE = (
    "<script>document.documentElement.dataset.owned = 1</script>",
    '" onload="x" \'><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</title></style><style>*{display:none}</style>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&amp;",
    "evil\u202egnp.exe\u2066",
    "line\u2028break\r\nline\x1b[2J\x00",
    "]]><!--",
)
VOID = {"meta", "link", "img", "br", "hr", "input", "rect", "path", "polygon"}


def inspection() -> Inspection:
    image = complete().image()
    return describe(read(shelf_of(image), image.manifest_blob.descriptor))


def rendered(
    it: Inspection, verified: page.Verified | None = None, tensors: Tensors | None = None
) -> str:
    return page.page(it, SHEETS, verified=verified, tensors=tensors)


def digest_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


class Outline(html.parser.HTMLParser):
    """What a page is made of; fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        """Its elements with the names of their attributes; rows in boxes are as many as fit."""
        return [(tag, sorted(attributes)) for tag, attributes in self.found if tag != "text"]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def hostile(text: str) -> Inspection:
    """Return an inspection that says `text` wherever an image can say something."""
    it = inspection()
    claim = ReferrerClaim(
        digest=text, subject=text, artifact_type=text, predicate_type=text, kind=text, size=1,
        summary=text, signed=text, what="", by=text, unreadable=text, said={text: text},
        evaluation=EvaluationClaim(weights=text, metrics=(
            MetricClaim(name=text, slice=text, value=text, bound=text),)),
        scan=ScanClaim(scanner=text, outcome=text, severities={text: 1, "HIGH": 2}, database=text,
                       finished=text,
                       not_looked_at=(text,), findings=(text,), waived=(text,),
                       vulnerabilities=(VulnerabilityClaim(
                           id=text, package=text, installed=text, fixed=text, severity=text,
                           title=text),)),
    )  # fmt: skip
    verdict = replace(claim, digest=f"2{text}", scan=None, verdict=VerdictClaim(
        outcome=text, by=text, finished=text, counts={text: 1}, names={"failed": (text,)},
        measured={text: 1.0, "p95": 2e9, "memory": -1}, limits={text: text, "p95": text},
        commands={text: text},
    ))  # fmt: skip
    field = Field(name=text, type=text, required=True, bounds=text, about=text)
    interface = InterfaceClaim(
        digest=text, openapi=text, title=text, operations=(text, text), details=(OperationClaim(
            name=text, summary=text, parameters=(field,), media_types=(text,), request=(field,),
            answers=(AnswerClaim(status=text, fields=(field,)),),
        ),),
    )  # fmt: skip
    return replace(
        it, platform=text,
        claims=replace(it.claims, labels={text: text}, annotations={text: text}, unsafe=(text,),
                       base_name=text, base_digest=text, lock=text, created=text),
        model=ModelClaim(name=text, version=text, license=text, description=text, task=text,
                         architecture=text, framework=text, base=text),
        training=TrainingClaim(run=text, source=text, data=(DataClaim(
            name=text, version=text, uri=text, digest=text),)),
        source=replace(it.source, revision=text, digest=text),
        weights=tuple(replace(one, path=text, dtypes={text: 1, "F32": 2}) for one in it.weights),
        weight_sets=tuple(replace(one, destination=text, source=text) for one in it.weight_sets),
        packages=tuple(replace(one, name=text, version=text) for one in it.packages),
        layers=tuple(replace(one, kind=text, content=text, digest=text) for one in it.layers),
        config=replace(it.config, user=text, env=(text,), entrypoint=(text,)),
        interface=interface, referrers=(claim, verdict), findings=(text,), unknown=(text,),
    )  # fmt: skip


def hostile_tensors(text: str) -> Tensors:
    return {one.path: (Tensor(name=text, dtype=text, shape=(1, 2)),) * 30
            for one in hostile(text).weights}  # fmt: skip


def verified(text: str = "signed by release") -> page.Verified:
    digest = digests.of(b"image")
    made = (
        Requirement(name="signature", outcome="met", wanted=text, found=text),
        Requirement(name="scan", outcome="failed", wanted="none", found="one", hint=text),
    )
    judged = Judged(role="image", digest=digest, platform=text, requirements=made)
    report = Report(digest=digest, judged=(judged,), refused=(), unsigned=(text,), notes=())
    return page.Verified(policy=text, report=report, stage=text)


def harmless(text: str) -> str:
    """Return a text of the same length as `text` is shown with, that means nothing to a browser."""
    return re.sub(r"[<>&\"']", "x", display.escape(text))


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 100_000, "x" * 1999 + "<b>"])
def test_whatever_an_image_says_is_text(text: str) -> None:
    """A page of a harmless image and of a hostile one have the same elements."""
    found = rendered(hostile(text), verified(text), hostile_tensors(text))
    same = harmless(text)
    plain = Outline(rendered(hostile(same), verified(same), hostile_tensors(same)))
    outline = Outline(found)
    assert outline.shape == plain.shape
    assert all(one.keys() <= {"class", "x", "y"} for one in outline.all("text"))
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u2028\x00\x1b\r]", found)
    assert len(found) < 600_000


def test_a_short_text_is_shown_whole() -> None:
    outline = Outline(rendered(hostile(HOSTILE[0])))
    assert HOSTILE[0] in "".join(outline.words)


def test_the_page_fetches_nothing_and_links_nowhere() -> None:
    outline = Outline(rendered(hostile("javascript:alert(1)"), verified()))
    policy = [a["content"] for a in outline.all("meta") if "http-equiv" in a]
    assert policy == [f"default-src 'none'; style-src 'sha256-{digest_of(SHEETS.style)}'"]
    for tag, attributes in outline.found:
        assert tag not in ("script", "a", "link", "img", "iframe", "object", "form", "base")
        assert not {"href", "src", "style", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in SHEETS.style
    assert "@import" not in SHEETS.style
    assert "</" not in SHEETS.style
    assert "safe" not in re.findall(r"\|\s*(\w+)", SHEETS.page)


def test_without_a_policy_nothing_is_verified() -> None:
    found = rendered(inspection())
    assert "Claims, not verified" in found
    assert "What was verified: nothing" in found


def test_each_requirement_is_shown_with_its_outcome_and_hint() -> None:
    words = "".join(Outline(rendered(inspection(), verified("scan it again"))).words)
    assert "Refused" in words
    assert "✓ met" in words
    assert "✕ failed" in words
    assert "hint: scan it again" in words
    assert "1 statement beside it, signed by nobody" in words


def test_a_page_is_the_same_each_time() -> None:
    assert rendered(inspection(), verified()) == rendered(inspection(), verified())


def test_people_who_hear_the_page_find_their_way() -> None:
    outline = Outline(rendered(hostile("x"), verified()))
    assert outline.all("html") == [{"lang": "en"}]
    assert [len(outline.all(tag)) for tag in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    levels = [int(tag[1]) for tag, _ in outline.found if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(outline.all("caption")) == len(outline.all("table")) > 0
    assert all(a.get("scope") in ("col", "row") for a in outline.all("th"))
    ids = [str(a["id"]) for _, a in outline.found if "id" in a]
    assert len(ids) == len(set(ids))
    named = " ".join(str(a["aria-labelledby"]) for _, a in outline.found if "aria-labelledby" in a)
    assert set(named.split()) <= set(ids)
    pictures = [a for a in outline.all("svg") if "class" in a]
    assert all(a.get("role") == "img" or a.get("aria-hidden") == "true" for a in pictures)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4
                            for p in parts)  # fmt: skip
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_words_stand_out_from_what_is_behind_them(scheme: int) -> None:
    css = SHEETS.style.split(":root {")[scheme + 1].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css))
    for ink in ("ink", "quiet", "good", "bad", "doubt", "focus"):
        assert contrast(colours[ink], colours["card"]) >= 4.5, ink
        assert contrast(colours[ink], colours["paper"]) >= 4.5, ink
    for name in ("good", "bad", "doubt"):
        assert contrast(colours[name], colours[f"{name}-soft"]) >= 4.5, name
    for kind in (*page_treemap.KINDS, "other"):
        assert contrast(colours["on-kind"], colours[kind]) >= 4.5, kind


def test_what_is_not_said_is_drawn_as_missing() -> None:
    silent = replace(inspection(), training=TrainingClaim(), model=ModelClaim())
    boxes = [box for stage in page_lineage.stages(silent) for box in stage]
    assert [box.title for box in boxes if not box.stated] == ["training data", "training run"]
    assert rendered(silent).count("frame missing") == 4


def test_many_data_sets_are_counted() -> None:
    data = tuple(DataClaim(name=f"set {n}") for n in range(9))
    many = replace(inspection(), training=TrainingClaim(run="run 7", data=data))
    first = page_lineage.stages(many)[0]
    assert [box.lines[0] for box in first if box.title == "training data"] == [
        "set 0", "set 1", "set 2", "set 3", "and 5 more",
    ]  # fmt: skip


def test_arrows_end_where_boxes_begin() -> None:
    stages = page_lineage.stages(inspection())
    for drawing in (page_lineage.wide(stages), page_lineage.narrow(stages)):
        for box in drawing.boxes:
            assert 0 <= box.x <= box.x + box.width <= drawing.width
            assert 0 <= box.y <= box.y + box.height <= drawing.height
        for edge in drawing.edges:
            x, y = map(int, edge.head.split(" ", maxsplit=1)[0].split(","))
            assert any(box.x - 4 <= x <= box.x + box.width and box.y - 4 <= y <= box.y + box.height
                       for box in drawing.boxes)  # fmt: skip


def layers(*sizes: int) -> list[LayerClaim]:
    return [
        LayerClaim(index=n, kind="weights", digest="", diff_id="", size=size, media_type="",
                   created_by="", content="")
        for n, size in enumerate(sizes)
    ]  # fmt: skip


@pytest.mark.parametrize("sizes", [(1,), (5, 5), (900, 1, 40, 40, 7), tuple(range(1, 60))])
def test_areas_are_shares_and_do_not_overlap(sizes: tuple[int, ...]) -> None:
    ordered = sorted(sizes, reverse=True)
    places = page_treemap.squarified(ordered)
    whole = sum(width * height for _, _, width, height in places)
    for size, (x, y, width, height) in zip(ordered, places, strict=True):
        assert width * height / whole == pytest.approx(size / sum(sizes))
        assert x >= 0
        assert y >= 0
        assert x + width <= 100.001
    for n, one in enumerate(places):
        for other in places[n + 1 :]:
            across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
            down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
            assert across < 1e-6 or down < 1e-6


def test_empty_and_many_layers_can_be_drawn() -> None:
    assert page_treemap.tiles(layers()) == ()
    assert page_treemap.tiles(layers(0, 0)) == ()
    many = page_treemap.tiles(layers(*[10] * 500))
    assert len(many) == page_treemap.MOST + 1
    assert [tile.count for tile in many][-1] == 440
    Outline(rendered(replace(inspection(), layers=tuple(layers(0)))))


def test_a_missing_value_of_the_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        page.page(inspection(), replace(SHEETS, page="{{ nothing.name }}"))
    for text in ("{{ nothing }}", "{{ it.model }}", "{{ it.nothing }}"):
        with pytest.raises(TypeError):
            page.page(inspection(), replace(SHEETS, page=text))


def ended(*arguments: str) -> object:
    """Return the exit status of a command line."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = write_layout(tmp_path / "image", complete().image())
    target = tmp_path / "page.html"
    assert ended("inspect", f"oci:{layout}", "--html", str(target)) == 0
    assert "claims, not verified" in capsys.readouterr().out
    Outline(target.read_text(encoding="utf-8"))


def test_a_policy_is_judged_and_ends_as_verify_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = write_layout(tmp_path / "image", complete().image())
    policy = tmp_path / "policy.toml"
    (tmp_path / "release.pub").write_bytes(public_pem(new_key().public_key()))
    policy.write_text(
        'schema = 1\nlog = false\n[signers.release]\nkey = "release.pub"\n'
        '[signature]\nsigners = ["release"]\n'
    )
    target = tmp_path / "page.html"
    arguments = ["inspect", f"oci:{layout}", "--html", str(target), "--policy", str(policy)]
    assert ended(*arguments, "--json") == 1
    assert '"answer": "refused"' in capsys.readouterr().out
    assert "policy.toml" in target.read_text(encoding="utf-8")


def test_a_stage_of_the_policy_is_judged_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = write_layout(tmp_path / "image", complete().image())
    policy = tmp_path / "policy.toml"
    (tmp_path / "release.pub").write_bytes(public_pem(new_key().public_key()))
    policy.write_text(
        'schema = 1\nlog = false\n[signers.release]\nkey = "release.pub"\n'
        '[signature]\nsigners = ["release"]\n'
        '[stages.production]\nsigners = ["release"]\nstatements = ["signature"]\n'
    )
    target = tmp_path / "page.html"
    arguments = ["inspect", f"oci:{layout}", "--html", str(target), "--policy", str(policy)]
    assert ended(*arguments, "--stage", "prod") == 2
    assert "the policy has no stage `prod`" in capsys.readouterr().err
    assert not target.exists()
    assert ended(*arguments, "--stage", "production") == 1
    words = " ".join(Outline(target.read_text(encoding="utf-8")).words)
    assert "promoted to production by release, and not replaced since" in words
    assert ended("card", f"oci:{layout}", "--policy", str(policy), "--stage", "production") == 1
    assert "by the policy policy.toml, stage production" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--policy", "p"],
        ["--html", "x", "--raw", "spec"],
        ["--html", "x", "--trusted-root", "r"],
        ["--html", "x", "--stage", "production"],
    ],
)
def test_options_that_say_nothing_together_are_refused(arguments: list[str]) -> None:
    assert ended("inspect", ".", *arguments) == 2


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = write_layout(tmp_path / "image", complete().image())
    assert ended("inspect", f"oci:{layout}", "--html", str(tmp_path / "no" / "x.html")) == 3
    assert "x.html" in capsys.readouterr().err
