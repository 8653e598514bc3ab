module tools/kit

go 1.26

require github.com/kitops-ml/kitops v1.15.0
