module tools/modelspec

go 1.26

require github.com/modelpack/model-spec v0.0.8-0.20251029035601-816c546bfd6b

require (
	github.com/opencontainers/go-digest v1.0.0 // indirect
	github.com/santhosh-tekuri/jsonschema/v5 v5.3.1 // indirect
)
