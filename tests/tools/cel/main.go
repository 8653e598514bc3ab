// Evaluate the CEL of a Kyverno ImageValidatingPolicy on statements, without a cluster or a registry.
//
//	cel < CASE.json
//
// CASE has "variables" and "validations" as in the policy, "images" (names by list), "attestors" and
// "attestations" (names), "signed" (who signed, by attestation), "payloads" (statements, by
// attestation) and "now". Functions are those of Kyverno 1.19 (github.com/kyverno/sdk,
// extensions/cel/libs), over the case instead of a registry. It prints, for each validation, "true",
// "false", or the error: Kyverno refuses an image on both.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

type named struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

type testCase struct {
	Variables    []named             `json:"variables"`
	Validations  []named             `json:"validations"`
	Images       map[string][]string `json:"images"`
	Attestors    []string            `json:"attestors"`
	Attestations []string            `json:"attestations"`
	Signed       map[string][]string `json:"signed"`
	Payloads     map[string]any      `json:"payloads"`
	Now          string              `json:"now"`
}

func main() {
	var given testCase
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail(err)
	}
	now, err := time.Parse(time.RFC3339, given.Now)
	if err != nil {
		fail(err)
	}
	environment, err := given.environment(now)
	if err != nil {
		fail(err)
	}
	values := map[string]any{
		"images":       given.Images,
		"attestors":    itself(given.Attestors),
		"attestations": itself(given.Attestations),
	}
	variables := map[string]any{}
	values["variables"] = variables
	for _, one := range given.Variables {
		value, err := evaluate(environment, one.Expression, values)
		if err != nil {
			fail(err)
		}
		variables[one.Name] = value
	}
	results := []string{}
	for _, one := range given.Validations {
		value, err := evaluate(environment, one.Expression, values)
		if err != nil {
			results = append(results, err.Error())
			continue
		}
		results = append(results, fmt.Sprint(value.Value()))
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		fail(err)
	}
}

func (given testCase) environment(now time.Time) (*cel.Env, error) {
	verify := func(arguments ...ref.Val) ref.Val {
		attestation, asked := arguments[1].Value().(string), arguments[2].(traits.Lister)
		count := 0
		for at := types.Int(0); at < asked.Size().(types.Int); at++ {
			for _, signer := range given.Signed[attestation] {
				if asked.Get(at).Value() == signer {
					count++
				}
			}
		}
		return types.Int(count)
	}
	extract := func(_, attestation ref.Val) ref.Val {
		payload, found := given.Payloads[attestation.Value().(string)]
		if !found {
			return types.NewErr("no verified payload of %v", attestation.Value())
		}
		return types.DefaultTypeAdapter.NativeToValue(payload)
	}
	return cel.NewEnv(
		cel.Variable("images", cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		cel.Variable("attestors", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("attestations", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("variables", cel.MapType(cel.StringType, cel.DynType)),
		cel.Function("verifyAttestationSignatures", cel.Overload("verify",
			[]*cel.Type{cel.StringType, cel.StringType, cel.ListType(cel.StringType)}, cel.IntType,
			cel.FunctionBinding(verify))),
		cel.Function("extractPayload", cel.Overload("extract",
			[]*cel.Type{cel.StringType, cel.StringType}, cel.DynType, cel.BinaryBinding(extract))),
		cel.Function("time.now", cel.Overload("now", []*cel.Type{}, cel.TimestampType,
			cel.FunctionBinding(func(...ref.Val) ref.Val { return types.Timestamp{Time: now} }))),
	)
}

func evaluate(environment *cel.Env, expression string, values map[string]any) (ref.Val, error) {
	ast, issues := environment.Compile(expression)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := environment.Program(ast)
	if err != nil {
		return nil, err
	}
	value, _, err := program.Eval(values)
	return value, err
}

func itself(names []string) map[string]string {
	found := map[string]string{}
	for _, name := range names {
		found[name] = name
	}
	return found
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "cel:", err)
	os.Exit(2)
}
