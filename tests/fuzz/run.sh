#!/bin/sh
# Every harness for FUZZ_SECONDS (60 by default), one after the other; stops at the first defect.
# FUZZ_SEED fixes the order of tries (0, the default: another one each time); CI fixes it.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
for harness in tests/fuzz/fuzz_*.py; do
    name=$(basename "$harness" .py)
    name=${name#fuzz_}
    echo "== $name"
    "$python" tests/fuzz/run.py "$name" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=20 -rss_limit_mb=1024 \
        -seed="${FUZZ_SEED:-0}"
done
