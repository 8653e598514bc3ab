#!/bin/sh
# Made by `modelpack ci generic` from models/reranker/modelpack.toml. After a change there: modelpack ci generic --replace
#
#   modelpack-ci.sh              every stage to verify, in order, to the first that fails
#   modelpack-ci.sh STAGE…       these: install, check, build, checks, test, scan, push, sign, verify, production
#
# Give each stage no more than it needs, as variables of its job:
#   push, sign, production       REGISTRY_USERNAME, REGISTRY_PASSWORD for registry.example:5000
#   sign                         an identity for Sigstore: what your CI offers, or IDENTITY_TOKEN_FILE
#   verify                       CERTIFICATE_IDENTITY, CERTIFICATE_OIDC_ISSUER: who must have signed
#   sign, verify                 TRUST_CONFIG: file, the client trust configuration of your own Sigstore
#   production                   nothing but an approval, which your CI asks for before it starts it
# What stages in other jobs need: *.json and ci.env of models/reranker/dist. What is worth keeping between
# runs, for as long as models/reranker/modelpack.lock is the same: the folder MODELPACK_CACHE.
# Needed on PATH: python3, git, and Trivy (v0.74.0 was tested).
set -eu
cd "$(dirname "$0")"

MODELPACK="modelpack-build[hf,zstd]==1.0.0"
PROJECT="./models/reranker"
IMAGE="registry.example:5000/ml/search/reranker"
REGISTRY="registry.example:5000"
FACTS="models/reranker/dist/ci.env"

install() {
    python3 -m pip install --disable-pip-version-check "$MODELPACK"
}

check() {
    modelpack check "$PROJECT"
    modelpack lock "$PROJECT" --check
}

build() {
    mkdir -p "$(dirname "$FACTS")"
    rm -f "$FACTS"
    MODELPACK_DOTENV=$FACTS modelpack build "$PROJECT" --locked
}

# The project's own: needs user namespaces, or Docker or podman.
run_checks() {
    modelpack check "$PROJECT" --run
}

# Needs Docker or podman.
run_tests() {
    modelpack test "$PROJECT"
}

# [scan]: MEDIUM and above fails; the database may be 24h old.
scan() {
    modelpack scan "$PROJECT" --format sarif > scan.sarif
}

push() {
    login
    modelpack push "$PROJECT" "$IMAGE:git-$(git rev-parse HEAD)"
}

sign() {
    login
    modelpack sign "$IMAGE@$(digest)" --file "models/reranker/modelpack.toml" --record "models/reranker/dist/build.json" --yes \
        ${IDENTITY_TOKEN_FILE:+--identity-token-file "$IDENTITY_TOKEN_FILE"} \
        ${TRUST_CONFIG:+--trust-config "$TRUST_CONFIG"}
}

verify() {
    modelpack verify "$IMAGE@$(digest)" \
        --certificate-identity "${CERTIFICATE_IDENTITY:?who must have signed}" \
        --certificate-oidc-issuer "${CERTIFICATE_OIDC_ISSUER:?who vouches for that identity}" \
        --statement signature --statement provenance --statement sbom --statement scan \
        ${TRUST_CONFIG:+--trust-config "$TRUST_CONFIG"}
}

# A version that holds another digest is refused: raise the version in models/reranker/modelpack.toml.
give_tags() {
    login
    modelpack copy "$IMAGE@$(digest)" "$IMAGE:2.0.0-rc.1"
    modelpack copy "$IMAGE@$(digest)" "$IMAGE:candidate"
}

login() {
    [ -n "${REGISTRY_USERNAME:-}" ] || return 0
    printf '%s' "${REGISTRY_PASSWORD:?}" |
        modelpack login "$REGISTRY" --username "$REGISTRY_USERNAME" --password-stdin
}

# What was built last here.
digest() {
    sed -n 's/^MODELPACK_DIGEST=//p' "$FACTS" | tail -n 1
}

[ $# -gt 0 ] || set -- install check build checks test scan push sign verify
for stage in "$@"; do
    echo "=== $stage" >&2
    case $stage in
        checks) run_checks ;;
        test) run_tests ;;
        install | check | build | scan | push | sign | verify) "$stage" ;;
        production)
            give_tags
            ;;
        *)
            echo "no stage $stage" >&2
            exit 2
            ;;
    esac
done
