// Command modelspec says whether the configuration on stdin is one of CNCF ModelPack's model-spec:
// the specification's own JSON schema, by its own validator.
package main

import (
	"fmt"
	"os"

	"github.com/modelpack/model-spec/schema"
)

func main() {
	if err := schema.ValidatorMediaTypeModelConfig.Validate(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
