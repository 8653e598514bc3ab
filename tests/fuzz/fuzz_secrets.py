"""Whatever a text holds, it is scanned within bounds, and no finding shows a secret."""

import re
import sys

from modelpack.checks.secrets import assignments as secret_assignments
from modelpack.checks.secrets import gate as secrets
from modelpack.checks.secrets import rules as secret_rules

MARK = "⁂"
"stands in kept inputs, so that they hold nothing that looks like a secret"


def TARGET(data: bytes) -> None:  # noqa: N802  the name that the runner looks for
    """Scan `data` as a text, as a value and as a file."""
    text = data.decode("utf-8", "replace").replace(MARK, "")
    found = [
        *secrets.findings_in_text(text, "app.py"),
        *secrets.findings_in_values({text[:20]: text[20:], "PASSWORD": text}, "environment"),
        *secrets.findings_in_content(data, "folder/file"),
    ]
    for finding in found:
        if not finding.message.isprintable():
            raise AssertionError(f"unprintable message: {finding.message!a}")
    for rule in secret_rules.RULES:
        for match in re.finditer(rule.pattern, text):
            secret = match["secret"]
            if len(secret) < 8 or secret_assignments.is_placeholder(secret):
                continue
            if any(secret in finding.message for finding in found):
                raise AssertionError("a finding shows a secret")
    for assignment in secret_assignments.find(text):
        if not assignment.secret:
            raise AssertionError("an empty secret")


if __name__ == "__main__":
    from run import fuzz

    fuzz("secrets", sys.argv[1:])
