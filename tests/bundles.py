"""Bundles of every shape, for hypothesis."""

from hypothesis import strategies as st

from modelpack.trust.bundle import (
    MEDIA_TYPES,
    Bundle,
    Certificate,
    Chain,
    MessageSignature,
    PublicKey,
)
from modelpack.trust.dsse import Envelope, Signature
from modelpack.trust.log_entry import InclusionProof, LogEntry

hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, (1 << 63) - 1)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
data = st.binary(min_size=1, max_size=60)

proofs = st.builds(
    InclusionProof, log_index=numbers, root_hash=hashes, tree_size=numbers,
    hashes=st.lists(hashes, max_size=3).map(tuple), checkpoint=words,
)  # fmt: skip
entries = st.builds(
    LogEntry, log_index=numbers, log_id=hashes, kind=words, version=words,
    integrated_time=numbers, promise=st.binary(max_size=70), proof=st.none() | proofs,
    body=st.binary(max_size=90),
)  # fmt: skip
materials = st.one_of(
    st.builds(Certificate, der=data),
    st.builds(Chain, certificates=st.lists(data, min_size=1, max_size=3).map(tuple)),
    st.builds(PublicKey, hint=words),
)
envelopes = st.builds(
    Envelope, payload=st.binary(max_size=200), payload_type=words,
    signatures=st.tuples(st.builds(Signature, data=data, key_id=words)),
)  # fmt: skip
messages = st.one_of(
    st.builds(MessageSignature, signature=data),
    st.builds(MessageSignature, signature=data, algorithm=st.just("SHA2_256"), digest=hashes),
)
bundles = st.builds(
    Bundle, media_type=st.sampled_from(sorted(MEDIA_TYPES)), material=materials,
    entries=st.lists(entries, max_size=2).map(tuple),
    timestamps=st.lists(data, max_size=2).map(tuple), content=envelopes | messages,
)  # fmt: skip
