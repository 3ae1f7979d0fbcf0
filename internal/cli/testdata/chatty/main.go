// Command chatty is a gate set that repeats what it can read of the source, as a careless gate does.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/penstock-ci/penstock/gates"
)

func main() {
	gates.Serve(gates.Set{Name: "chatty", Version: "1.0.0", Gates: []gates.Gate{chattyGate{}}})
}

type chattyGate struct{}

func (chattyGate) Describe() gates.Description {
	return gates.Description{Name: "source", Title: "repeats the source", Phases: []gates.Phase{gates.PhaseBuild}, Needs: gates.Needs{Source: true}}
}

func (chattyGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	content, err := os.ReadFile(filepath.Join(request.SourceDir, "settings.txt"))
	if err != nil {
		return nil, err
	}
	return &gates.Verdict{Outcome: gates.Fail, Summary: string(content), NextStep: "say less"}, nil
}
