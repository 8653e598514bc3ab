"""What the parts of a page say: the first screen, what stands beside an image, its weights."""

from dataclasses import replace

import pytest

from modelpack import digest as digests
from modelpack.cli.display import inspect_report, inspect_tensors
from modelpack.cli.display.page import evidence as page_evidence
from modelpack.cli.display.page import glance as page_glance
from modelpack.cli.display.page import weights as page_weights
from modelpack.inspection.beside import ReferrerClaim, VerdictClaim
from modelpack.lock.tensors import Tensor
from modelpack.verifying.report import Judged, Outcome, Report, Requirement
from tests import pages

IT = pages.full()
NOTHING = pages.bare()


def report(*requirements: Requirement, answer: str = "refused") -> Report:
    digest = digests.of(b"image")
    judged = Judged(role="image", digest=digest, platform="", requirements=requirements)
    found = Report(digest=digest, judged=(judged,), refused=(), unsigned=(), notes=())
    assert found.answer == answer
    return found


def asked(name: str, outcome: Outcome = "met", found: str = "it is so") -> Requirement:
    return Requirement(name=name, outcome=outcome, wanted=f"{name} wanted", found=found)


def signs(requirements: Report | None = None) -> dict[str, page_glance.Sign]:
    return {one.title: one for one in page_glance.signs(IT, requirements)}


class TestFirstScreen:
    """The answer, what is wrong, what there is."""

    def test_of_claims_nothing_is_good(self) -> None:
        answer = page_glance.answer(IT, None)
        assert (answer.tone, answer.title) == ("doubt", "Claims, not verified")
        assert all(one.tone != "good" for one in signs().values())

    def test_what_fails_by_its_own_words_and_does_not_add_up_is_said(self) -> None:
        wrong = page_glance.answer(IT, None).wrong
        assert [what for what, _ in wrong] == ["scan", "does not add up"]
        assert "failed, 1 HIGH, 1 MEDIUM, 5 LOW" in wrong[0][1]
        assert signs()["Scan"].word == "says: failed"
        assert signs()["Scan"].tone == "bad"

    def test_what_is_not_there_is_said_where_it_is_expected(self) -> None:
        found = {one.title: one.word for one in page_glance.signs(NOTHING, None)}
        assert found == dict.fromkeys(
            ["Signature", "Provenance", "Bill of materials", "Scan", "Functional test",
             "Evaluation"], "none",
        )  # fmt: skip

    def test_what_is_proved_is_good_and_what_is_claimed_beside_it_is_not(self) -> None:
        found = signs(report(asked("signature"), answer="verified"))
        assert (found["Signature"].tone, found["Signature"].word) == ("good", "proved")
        assert found["Provenance"].tone == "doubt"

    def test_a_requirement_by_predicate_type_is_that_kind(self) -> None:
        name = "https://modelpack.dev/predicates/evaluation/v1"
        assert signs(report(asked(name), answer="verified"))["Evaluation"].word == "proved"

    def test_a_failed_requirement_stands_whatever_else_is_met(self) -> None:
        mixed = report(asked("scan"), asked("scan age", "failed", "it is old"))
        assert (signs(mixed)["Scan"].word, signs(mixed)["Scan"].note) == ("not proved", "it is old")
        answer = page_glance.answer(IT, mixed)
        assert (answer.tone, answer.said) == ("bad", "1 of 2 requirements met")
        assert answer.wrong[0] == ("scan age", "it is old")
        # What the scan says of itself is not said once more.
        assert [what for what, _ in answer.wrong] == ["scan age", "does not add up"]

    def test_what_could_not_be_found_out_is_no_yes(self) -> None:
        unsure = report(asked("scan", "unknown", "no network"), answer="unknown")
        assert page_glance.answer(IT, unsure).tone == "doubt"
        assert signs(unsure)["Scan"].tone == "doubt"

    def test_many_things_that_do_not_add_up_are_counted(self) -> None:
        many = replace(IT, referrers=(), findings=tuple(map(str, range(9))))
        wrong = page_glance.answer(many, None).wrong
        assert [why for _, why in wrong] == ["0", "1", "2", "and 6 things more, below"]


class TestBeside:
    """Documents, each once."""

    def test_a_document_signed_and_unsigned_is_one_and_kinds_are_in_order(self) -> None:
        found = page_evidence.cards(IT.referrers)
        assert [card.title for card in found] == [
            "Signature", "Provenance", "Bill of materials", "Scan", "Functional test",
            "Evaluation", "Author's checks", "Malware scan", "https://acme.example/predicates/review/v1",
        ]  # fmt: skip
        assert [pages.IDENTITY in card.signed[0] for card in found] == [True] * 4 + [False] * 5
        manifests = [value for name, value in found[1].facts if name == "manifest"]
        assert len(set(manifests)) == 2

    def test_other_documents_of_a_kind_stay_apart(self) -> None:
        one, two = (pages.claim(IT, "https://slsa.dev/provenance/v1", {"n": n}, signed=False)
                    for n in (1, 2))  # fmt: skip
        assert len(page_evidence.cards([one, two, one])) == 2

    def test_a_functional_test_stands_beside_its_limits(self) -> None:
        card = page_evidence.cards(IT.referrers)[4]
        rows = {one.name: (one.value, one.limit) for one in card.measures}
        assert rows["Cold start"] == ("1.84 s", "10s")
        assert rows["Answers, p95"] == ("34.2 ms", "100ms")
        assert rows["Memory, growth"] == ("1 MiB", "")
        assert rows["Calls: Answers, p95"] == ("12.3 ms", "100ms")
        assert "not measured" not in [value for value, _ in rows.values()]
        assert (card.outcome, card.bad) == ("passed", False)

    def test_limits_of_which_nothing_was_measured_are_said(self) -> None:
        verdict = VerdictClaim(outcome="failed", by="", finished="",
                               limits={"p95": "1s", "cpus": "2"})  # fmt: skip
        claim = ReferrerClaim(
            digest="d", subject="", artifact_type="", predicate_type="", kind="", size=0,
            summary="", signed="", what="test", by="subject", verdict=verdict,
        )  # fmt: skip
        (card,) = page_evidence.cards([claim])
        assert [(one.name, one.value, one.limit) for one in card.measures] == [
            ("Answers, p95", "not measured", "1s"), ("cpus", "", "2"),
        ]  # fmt: skip
        assert card.bad


class TestWeights:
    """Tensors, by pattern and one by one."""

    def test_a_deep_network_is_a_few_patterns(self) -> None:
        (found,) = page_weights.sets(IT, pages.tensors_of())
        assert len(found.patterns) == 9
        (listing,) = found.listings
        assert (listing.count, listing.more) == (75, 0)
        assert [block.name for block in listing.blocks][:2] == [
            "encoder.layer.0",
            "encoder.layer.1",
        ]

    def test_of_very_many_tensors_some_are_listed_and_the_rest_is_counted(self) -> None:
        many = tuple(Tensor(name=f"layers.{n}.w", dtype="F32", shape=(2,)) for n in range(30_000))
        paths = [one.path for one in IT.weights]
        (found,) = page_weights.sets(IT, dict.fromkeys(paths, many))
        shown = sum(len(block.tensors) for each in found.listings for block in each.blocks)
        assert shown == 2000
        assert sum(each.more for each in found.listings) == 30_000 * len(paths) - 2000
        assert [(one.name, one.count) for one in found.patterns] == [
            ("layers.*.w", 30_000 * len(paths))
        ]

    @pytest.mark.parametrize(("shape", "words"), [((), "scalar"), ((4,), "4"), ((4, 5), "4 × 5")])  # noqa: RUF001  the sign
    def test_shapes_are_written_as_people_do(self, shape: tuple[int, ...], words: str) -> None:
        assert inspect_tensors.shape(shape) == words


def test_the_text_of_all_that_can_be_said_has_the_same() -> None:
    text = inspect_report.report(IT, verbose=True, tensors=pages.tensors_of())
    for words in (
        "encoder.layer.*.attention.query.bias       12  F32",
        'request     pooling?            one of "mean", "cls"',
        "answer 200  embeddings          list of list of number",
        "high           CVE-2026-1111 in libssl3t64 3.5.1-1, mended in 3.5.1-1+deb13u1",
        "spearman in sts-b/de  0.7812 (>= 0.75)",
        "unit       python -m pytest -q",
        "other       504dc7e208d3  https://acme.example/predicates/review/v1",
        f"the same, signed as `{pages.IDENTITY}`",
    ):
        assert words in text
    short = inspect_report.report(IT, verbose=False)
    assert len(short) < len(text) / 3
    assert "CVE-2026-1111" not in short
