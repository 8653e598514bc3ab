"""Secrets are found and never shown; what only looks like one is left alone."""

import os
import re
from pathlib import Path

import pytest

from modelpack.checks.secrets import gate as secrets
from modelpack.checks.secrets.rules import RULES

ASSETS = Path(__file__).parent.parent / "assets" / "secrets"
MARK = "⁂"


def lines(name: str) -> list[str]:
    text = (ASSETS / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def ready(text: str) -> str:
    return (
        text.replace(MARK, "").replace("\\\\n", "\\\0").replace("\\n", "\n").replace("\\\0", "\\n")
    )


TRUE = [tuple(line.split("\t", 1)) for line in lines("true.txt")]
HARMLESS = lines("harmless.txt")


def test_corpus_is_as_large_as_promised() -> None:
    assert len(set(TRUE)) >= 50
    assert len(set(HARMLESS)) >= 50


@pytest.mark.parametrize(("rule", "text"), TRUE, ids=[f"{n}-{r}" for n, (r, _) in enumerate(TRUE)])
def test_secret_is_found(rule: str, text: str) -> None:
    found = secrets.findings_in_text(f"first line\n{ready(text)}\nlast line\n", "app.py")
    assert f"secrets.{rule}" in {finding.rule for finding in found}


@pytest.mark.parametrize(("rule", "text"), TRUE, ids=[f"{n}-{r}" for n, (r, _) in enumerate(TRUE)])
def test_secret_is_never_shown(rule: str, text: str) -> None:
    at = text.index(MARK)
    secret = re.split(r"\\n|[\"']", text[at + 1 :], maxsplit=1)[0]
    for finding in secrets.findings_in_text(ready(text), "app.py"):
        assert secret not in finding.message
        assert "…" in finding.message
        assert finding.message.isprintable()


def test_corpus_is_kept_so_that_it_holds_no_secret() -> None:
    text = (ASSETS / "true.txt").read_text("utf-8")
    found = secrets.findings_in_text(text, "true.txt")
    chosen = {f"secrets.{rule.name}" for rule in RULES if rule.chosen}
    assert {f.rule for f in found} <= {"secrets.assignment", *chosen}


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_passes(text: str) -> None:
    assert secrets.findings_in_text(ready(text), "app.py") == ()


def sample(rule: str) -> str:
    return ready(next(text for name, text in TRUE if name == rule))


def test_finding_names_file_and_line() -> None:
    text = f"a\nb\n{sample('github-token')}\n\n{sample('stripe-key')}\n"
    found = secrets.findings_in_text(text, "service/app.py")
    assert [finding.at for finding in found] == ["service/app.py:3", "service/app.py:5"]
    assert "`ghp_…` (40 characters)" in found[0].message


def test_one_secret_is_one_finding() -> None:
    text = f'GITHUB_TOKEN = "{sample("github-token").split()[-1]}"'
    (finding,) = secrets.findings_in_text(text, "a")
    assert finding.rule == "secrets.github-token"


def test_short_password_is_not_shown_at_all() -> None:
    (finding,) = secrets.findings_in_text('password = "hunter2x!"', "a")
    assert "`…` (9 characters)" in finding.message


@pytest.mark.parametrize("comment", ["# pragma: allowlist secret", "# gitleaks:allow"])
def test_comment_on_the_line_makes_a_warning(comment: str) -> None:
    line = 'password = "hunter2x!"'
    (finding,) = secrets.findings_in_text(f"{line}  {comment}\n", "a")
    assert finding.severity == "warning"
    (finding,) = secrets.findings_in_text(f"{comment}\n{line}\n{comment}\n", "a")
    assert finding.severity == "error"


def test_very_many_secrets_are_cut_short() -> None:
    found = secrets.findings_in_text(f"{sample('stripe-key')}\n" * 1000, "a")
    assert len(found) == 51
    assert found[-1].rule == "secrets.more"


MADE_FOR_SECRETS = [
    *(".env", ".env.production", "a/.env.local", ".netrc", ".pypirc", "id_rsa", "keys/id_ed25519"),
    *("cert.p12", "cert.PFX", ".git/config", "a/.git/HEAD", ".git", ".aws/credentials"),
    *("kubeconfig", "terraform.tfstate", ".git-credentials", ".htpasswd", "db.kdbx"),
    *(".ssh/known_hosts", ".kube/config", "application_default_credentials.json"),
    ".dockerconfigjson",
]
SIMILAR = [
    *(".env.example", ".env.template", "environment.yml", ".gitignore", ".gitattributes", "env.py"),
    *("credentials.py", "id_rsa.pub", "cert.pem", "secrets.py", "tokenizer.json", "keystore.py"),
    *(".github/ci.yml", "terraform.tf", ".npmrc"),
]


@pytest.mark.parametrize("name", MADE_FOR_SECRETS)
def test_file_made_for_secrets_is_found_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (finding,) = secrets.findings_in_file(tmp_path / "file", name)
    assert (finding.rule, finding.at) == ("secrets.file", name)


@pytest.mark.parametrize("name", SIMILAR)
def test_file_of_a_similar_name_passes(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"nothing\n")
    assert secrets.findings_in_file(tmp_path / "file", name) == ()


def test_credentials_are_found_by_content_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(sample("private-key"))
    assert {f.rule for f in secrets.findings_in_file(tmp_path / "x", "cert.pem")} == {
        "secrets.private-key"
    }
    (tmp_path / "x").write_text(sample("docker-login"))
    assert {f.rule for f in secrets.findings_in_file(tmp_path / "x", "config.json")} == {
        "secrets.docker-login"
    }


def test_binary_file_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\0\1\2" + sample("github-token").encode())
    assert secrets.findings_in_file(tmp_path / "x", "x.bin") == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x").write_bytes(sample("github-token").encode(encoding))
    assert len(secrets.findings_in_file(tmp_path / "x", "x.txt")) == 1


def test_large_file_is_read_at_its_head_and_its_tail(tmp_path: Path) -> None:
    token = sample("github-token").encode()
    with (tmp_path / "x").open("wb") as file:
        file.write(token + b"\n" + b"a b\n" * 3000)
        file.seek(200 << 20)
        file.write(b"\n" + token)
    # The hole reads as NUL bytes, after the part that tells text from binary data.
    found = secrets.findings_in_file(tmp_path / "x", "x.txt")
    assert [finding.at for finding in found] == ["x.txt:1", "x.txt:end:2"]


@pytest.mark.parametrize("before", range((1 << 20) - 60, (1 << 20) + 60, 7))
def test_secret_across_two_chunks_is_found_once(tmp_path: Path, before: int) -> None:
    start = "é\n" * 1000
    token = sample("github-token").split()[-1]
    filler = "z" * (before - len(start.encode()))
    (tmp_path / "x").write_text(f"{start}{filler} {token}\n{token}", "utf-8")
    found = secrets.findings_in_file(tmp_path / "x", "x.txt")
    assert [finding.at for finding in found] == ["x.txt:1001", "x.txt:1002"]
    text = (tmp_path / "x").read_text("utf-8")
    assert secrets.findings_in_text(text, "x.txt") == found


def test_fifo_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    (finding,) = secrets.findings_in_file(tmp_path / "x", "x.txt")
    assert "FIFO" in finding.message


def test_values_are_judged_with_their_keys() -> None:
    values = {
        "OMP_NUM_THREADS": "1",
        "DB_PASSWORD": "s3cr3tPw9Q!",
        "HF_HOME": "/tmp/hf",
        "PYTHONPATH": "/app",
        "TOKEN": sample("gitlab-token").split()[-1],
        "DATABASE_URL": sample("url-credentials"),
        "com.acme.team": "search",
    }
    found = secrets.findings_in_values(values, "runtime.environment")
    assert [finding.at.rpartition(".")[2] for finding in found] == [
        "DATABASE_URL",
        "DB_PASSWORD",
        "TOKEN",
    ]
    for finding in found:
        assert "s3cr3t" not in finding.message


def test_quotes_in_a_value_do_not_hide_it() -> None:
    values = {"PASSWORD": "a\"b'c9`d!xyz"}
    assert len(secrets.findings_in_values(values, "runtime.environment")) == 1


MEGABYTE = 1 << 20
ADVERSARIAL = [
    *("a", " ", "\t", "\n", "é", "password=", "password", 'passwordpassword="', "password: ["),
    *("://", "://a:", "://a:b", "eyJ", "eyJ.eyJ.", "sk-", "aws ", "aws secret ", "sig=", "?sig=A"),
    *("-----BEGIN ", "-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----A: b\n"),
    *("ghp_", "xoxb-", "machine a login ", "SG.a.", "token:a:a", "api_key: str = ", "8Q~", "AKIA"),
    *("Authorization: Bearer ", "AccountKey=", "token=\n", "1234567890:AA", "secret_"),
    *('"auth": "', "A.atlasv1.", "token:\t\t\t", "hvs.", "discord.com/api/webhooks/1"),
]


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_adversarial_megabyte_on_one_line_is_scanned(piece: str) -> None:
    text = (piece * (MEGABYTE // len(piece) + 1))[:MEGABYTE]
    assert len(secrets.findings_in_text(text, "a")) <= 51
