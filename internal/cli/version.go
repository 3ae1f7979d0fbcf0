package cli

import (
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates/host"
	"github.com/penstock-ci/penstock/internal/buildinfo"
)

func newVersion(shared *common) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version and the gate sets that this build trusts",
		Example: "  penstock version --json",
		RunE:    func(*cobra.Command, []string) error { return tellVersion(shared) },
	}
}

// versions is what this build is and trusts, for programs.
type versions struct {
	Version  string            `json:"version"`
	Commit   string            `json:"commit"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	GateSets map[string]string `json:"gateSets"` // digests by name
}

func tellVersion(shared *common) error {
	told := versions{buildinfo.Version, buildinfo.Commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, map[string]string{}}
	pins, err := host.ParsePins(buildinfo.GatePins)
	if err != nil {
		return err
	}
	for _, pin := range pins {
		told.GateSets[pin.Set] = "sha256:" + pin.SHA256
	}
	if shared.json {
		return printJSON(shared.streams.Out, told)
	}
	fmt.Fprintf(shared.streams.Out, "penstock %s (%s, %s, commit %s)\n", told.Version, told.Platform, told.Go, told.Commit)
	for _, set := range slices.Sorted(maps.Keys(told.GateSets)) {
		fmt.Fprintf(shared.streams.Out, "gate set %-10s  %s\n", set, told.GateSets[set])
	}
	return nil
}
