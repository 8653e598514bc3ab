// Command gotar lists a tar as Go's archive/tar, hence Docker, containerd and crane, reads it.
// For each member it prints type, size, mode, name, link and sha256 of its first and last MiB.
package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
)

type member struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Link string `json:"link"`
	Size int64  `json:"size"`
	Mode int64  `json:"mode"`
	Tail string `json:"tail"`
}

// tail reads everything and keeps the digest of the last bytes, so that huge members cost little.
func tail(reader io.Reader) (string, error) {
	last := make([]byte, 0, 1<<20)
	buffer := make([]byte, 1<<20)
	for {
		count, err := reader.Read(buffer)
		last = append(last, buffer[:count]...)
		if len(last) > 16 {
			last = append(last[:0], last[len(last)-16:]...)
		}
		if errors.Is(err, io.EOF) {
			sum := sha256.Sum256(last)
			return hex.EncodeToString(sum[:]), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func run(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var stream io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if stream, err = gzip.NewReader(file); err != nil {
			return err
		}
	}
	reader := tar.NewReader(stream)
	out := json.NewEncoder(os.Stdout)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		digest, err := tail(reader)
		if err != nil {
			return err
		}
		if err := out.Encode(member{string(header.Typeflag), header.Name, header.Linkname,
			header.Size, header.Mode, digest}); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(os.Args[1]); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}
