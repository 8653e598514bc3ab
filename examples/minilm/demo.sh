#!/bin/sh
# Packs the real all-MiniLM-L6-v2 model into an image: no Docker, no root.
set -eu
cd "$(dirname "$0")"

python get_weights.py

status=0
modelpack build . --locked --revision "demo" || status=$?
if [ "$status" -eq 3 ]; then
    # A pinned package may be gone from every mirror: the lock stays as it is, a copy is renewed.
    temporary=$(mktemp -d)
    trap 'rm -rf "$temporary"' EXIT
    cp modelpack.toml modelpack.lock "$temporary"
    echo "demo: a pinned package is not served any more; locking the base anew in $temporary" >&2
    modelpack lock . --file "$temporary/modelpack.toml" --upgrade base
    modelpack build . --file "$temporary/modelpack.toml" --locked --revision "demo"
    echo "demo: the base is newer than the committed lock: the digest above differs from it" >&2
elif [ "$status" -ne 0 ]; then
    exit "$status"
fi

cat <<'EOF'

inspect it:
  .venv/bin/modelpack inspect ./examples/minilm
run it, where there is a Docker engine (or podman):
  .venv/bin/modelpack run examples/minilm
  curl -s localhost:8080/embed -H 'content-type: application/json' -d '{"texts": ["hello"]}'
EOF
