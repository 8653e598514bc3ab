module tools/buildkitd

go 1.26

require github.com/moby/buildkit v0.26.3
