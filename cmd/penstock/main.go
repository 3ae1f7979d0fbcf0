// Command penstock takes a Cloudflare Worker from source to a gated production.
package main

import (
	"os"
	"path/filepath"

	"github.com/penstock-ci/penstock/internal/cli"
)

func main() {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	// Gate sets lie beside the binary itself, not beside a link to it.
	if real, err := filepath.EvalSymlinks(executable); err == nil {
		executable = real
	}
	os.Exit(int(cli.Main(cli.Streams{
		Args: os.Args[1:], Env: os.Getenv, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Executable: executable,
	})))
}
