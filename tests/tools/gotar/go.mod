module gotar

go 1.21
