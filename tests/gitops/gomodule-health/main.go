// Judges objects as GitOps tools do: one JSON object a line in, one line of JSON out for each.
//
// With arguments (inProgress=EXPR, failed=EXPR, current=EXPR) by Flux' healthCheckExprs, else by
// kstatus, which Flux and `kubectl`-like tools use for what they do not know.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	judge := status.Compute
	if len(os.Args) > 1 {
		evaluator, err := cel.NewStatusEvaluator(expressions(os.Args[1:]))
		if err != nil {
			log.Fatal(err)
		}
		judge = func(object *unstructured.Unstructured) (*status.Result, error) {
			return evaluator.Evaluate(context.Background(), object)
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			log.Fatal(err)
		}
		result, err := judge(object)
		if err != nil {
			log.Fatal(err)
		}
		told := map[string]string{"status": string(result.Status), "message": result.Message}
		if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

func expressions(arguments []string) *kustomize.HealthCheckExpressions {
	found := &kustomize.HealthCheckExpressions{}
	for _, argument := range arguments {
		name, expression, _ := strings.Cut(argument, "=")
		switch name {
		case "inProgress":
			found.InProgress = expression
		case "failed":
			found.Failed = expression
		case "current":
			found.Current = expression
		default:
			log.Fatalf("unknown: %s", name)
		}
	}
	return found
}
