module tools/rekor

go 1.26

require github.com/sigstore/rekor-tiles/v2 v2.3.0
