"""An image moves to a stage, such as production: who lets it, after what, and what it replaces.

Two statements are made at once: the image was promoted; the one before it was superseded, which
says so beside that one, so that whoever puts the old one back is seen. Numbers only grow: rolling
back is promoting an old image again. Source: docs/predicates/promotion-v1.md.
"""

import re
from dataclasses import dataclass
from typing import Final

from modelpack.digest import Digest
from modelpack.digest import parse as parse_digest
from modelpack.errors import InputError
from modelpack.trust.members import Members
from modelpack.trust.predicate_types import PROMOTED, SUPERSEDED
from modelpack.trust.statement import Statement, about

STAGE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
"what is a tag, too"
_TEXT: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One move of one stage."""

    stage: str
    sequence: int
    "from 1 on; within one repository and stage no two moves have the same"
    image: Digest
    "that has the stage from now on"
    previous: Digest | None = None
    "that had it before"
    reason: str = ""
    repository: str = ""
    "HOST/NAME, whose stage it is: the name of the subject, so that no other's can be taken for it"

    def promoted(self) -> Statement:
        """Return what is said of the image."""
        return Statement(
            subjects=about(self.repository, self.image),
            predicate_type=PROMOTED,
            predicate=self._said(),
        )

    def superseded(self) -> Statement | None:
        """Return what is said of the image that had the stage; None: there was none."""
        if self.previous is None or self.previous == self.image:
            return None
        return Statement(
            subjects=about(self.repository, self.previous),
            predicate_type=SUPERSEDED,
            predicate=self._said(),
        )

    def _said(self) -> dict[str, object]:
        return {
            "stage": self.stage,
            "sequence": self.sequence,
            "image": self.image,
            "previous": self.previous,
            "reason": self.reason,
        }


def read(statement: Statement) -> Promotion:
    """Return the move that `statement`, of either type, is about, or raise InputError."""
    if statement.predicate_type not in (PROMOTED, SUPERSEDED):
        raise InputError("not about a stage", at="predicateType")
    members = Members(statement.predicate, at="predicate")
    previous = members.text("previous", limit=_TEXT, default="")
    names = {subject.name for subject in statement.subjects}
    promotion = Promotion(
        stage=members.text("stage", limit=_TEXT),
        sequence=members.number("sequence"),
        image=parse_digest(members.text("image", limit=_TEXT), at="predicate.image"),
        previous=parse_digest(previous, at="predicate.previous") if previous else None,
        reason=members.text("reason", limit=_TEXT, default=""),
        repository="".join(names) if len(names) == 1 else "",
    )
    members.done()
    about_whom = promotion.image if statement.predicate_type == PROMOTED else promotion.previous
    if about_whom is None or not statement.is_about(about_whom):
        raise InputError("its subject is not the image that it speaks of", at="subject")
    if not promotion.repository:
        raise InputError("its subject has no name: it is no repository's stage", at="subject")
    if promotion.sequence < 1 or not STAGE.fullmatch(promotion.stage):
        raise InputError("not a number or a name of a stage", at="predicate")
    return promotion
