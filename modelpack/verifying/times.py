"""When something was found out, by whoever signed that it was."""

from datetime import datetime

from modelpack.inspection.json_values import table, text
from modelpack.trust.proof import Proof

_MEMBERS = ("scanFinishedOn", "finishedOn")
"of `metadata`: cosign's for scans, SLSA's for what this program states"


def moment(written: str) -> int | None:
    """Return an RFC 3339 time as seconds since 1970; None: it is none."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return int(found.timestamp()) if found.tzinfo else None


def finished(proof: Proof) -> int | None:
    """Return when it was done, as the statement says, else when it was signed; None: unknown."""
    metadata = table(proof.statement.predicate if proof.statement else {}, "metadata")
    stated = (moment(text(metadata, member)) for member in _MEMBERS)
    return next((time for time in stated if time is not None), proof.time)
