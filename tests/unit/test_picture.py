"""The README shows a page as pages look now."""

from tests import picture

PNG = picture.PICTURE.read_bytes()


def test_the_picture_was_taken_of_the_page_as_it_is() -> None:
    page = picture.PAGE.read_text(encoding="utf-8")
    assert picture.taken_of(PNG) == picture.looks(page), "if pages look otherwise now: make picture"


def test_another_look_would_be_found_and_another_image_is_none() -> None:
    page = picture.PAGE.read_text(encoding="utf-8")
    assert picture.looks(page.replace("Refused", "No")) != picture.looks(page)
    assert picture.looks(page.replace("--ink: #1b2230", "--ink: #000000")) != picture.looks(page)
    digest = page.partition("sha256:")[2][:64]
    assert picture.looks(page.replace(digest, "0" * 64)) == picture.looks(page)


def test_the_picture_is_small_and_the_readme_shows_it() -> None:
    assert len(PNG) < 200_000
    readme = (picture.ROOT / "README.md").read_text(encoding="utf-8")
    assert str(picture.PICTURE.relative_to(picture.ROOT)) in readme
