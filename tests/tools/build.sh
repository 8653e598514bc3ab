#!/bin/sh
# Build one of the pinned programs that the tests use and print its path.
#   build.sh TOOL             TOOL is a folder here: its go.mod and go.sum, or package-lock.json,
#                             pin everything by hash
#   build.sh --cached TOOL    only print the path of what was built before; exit status 1: nothing
# Binaries lie outside of the checkout, in ${MODELPACK_TOOLS:-~/.cache/modelpack-tools}.
set -eu

cached=no
if [ "${1:-}" = --cached ]; then
    cached=yes
    shift
fi
tool=${1:?usage: build.sh [--cached] TOOL}
here=$(cd "$(dirname "$0")" && pwd)/$tool
package=
case $tool in
    actionlint) package=github.com/rhysd/actionlint/cmd/actionlint ;;
    buildkitd) package=github.com/moby/buildkit/cmd/buildkitd ;;
    buildx) package=github.com/docker/buildx/cmd/buildx ;;
    cel) package=. ;;   # a program of ours around CEL's own library
    cosign) package=github.com/sigstore/cosign/v3/cmd/cosign ;;
    crane) package=github.com/google/go-containerregistry/cmd/crane ;;
    fulcio) package=github.com/sigstore/fulcio ;;
    kit) package=github.com/kitops-ml/kitops ;;
    modelspec) package=. ;;   # a program of ours around the specification's own library
    olareg) package=github.com/olareg/olareg/cmd/olareg ;;
    registry) package=github.com/distribution/distribution/v3/cmd/registry ;;
    rekor) package=github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix ;;
    timestamp) package=github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server ;;
    axe|sigstore-js) ;;   # from npm
    trivy)
        package=github.com/aquasecurity/trivy/cmd/trivy
        export GOEXPERIMENT=jsonv2   # which a go.mod cannot ask for
        ;;
    *)
        echo "build.sh: no tool \`$tool\`" >&2
        exit 2
        ;;
esac

if [ -n "$package" ]; then
    pins="go.mod go.sum"
    [ "$package" != . ] || pins="$pins main.go"
else
    pins="package.json package-lock.json"
    [ "$tool" = axe ] || pins="$pins verify.cjs"
fi
pin=$(cd "$here" && cat $pins | sha256sum | cut -c1-16)   # $pins: words
folder=${MODELPACK_TOOLS:-${HOME:?}/.cache/modelpack-tools}/$tool-$pin
if [ -x "$folder/$tool" ]; then
    echo "$folder/$tool"
    exit 0
fi
[ "$cached" = no ] || exit 1

# In a copy: `-mod=mod` may write to go.sum, and what is not pinned must not get in.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$here"
cp $pins "$work"
cd "$work"
mkdir -p "${folder%/*}"

if [ -z "$package" ]; then
    npm ci --silent --ignore-scripts --no-audit --no-fund >&2
    if [ "$tool" = axe ]; then   # not a program, but a script for a browser
        mv node_modules/axe-core/axe.min.js "$tool"
        rm -r node_modules
    else
        mv verify.cjs "$tool"
    fi
    chmod 755 "$tool"
    # a whole folder, so the first to finish wins
    mv "$work" "$folder.$$"
    mv -T "$folder.$$" "$folder" 2>/dev/null || rm -rf "$folder.$$"
    echo "$folder/$tool"
    exit 0
fi
CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" \
    go build -mod=mod -ldflags "-s -w" -o "$work/$tool" "$package" >&2
if ! cmp -s go.mod "$here/go.mod" || ! cmp -s go.sum "$here/go.sum"; then
    echo "build.sh: tests/tools/$tool/go.mod and go.sum do not pin everything; they would become:" >&2
    diff -u "$here/go.mod" go.mod >&2 || true
    diff -u "$here/go.sum" go.sum >&2 || true
    exit 1
fi
mkdir -p "$folder"
mv "$work/$tool" "$folder/.$tool.$$"
mv "$folder/.$tool.$$" "$folder/$tool"
echo "$folder/$tool"
