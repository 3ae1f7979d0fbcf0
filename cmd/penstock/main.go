// Command penstock takes a Cloudflare Worker from source to a gated production.
package main

import (
	"os"

	"github.com/penstock-ci/penstock/internal/cli"
)

func main() {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	os.Exit(int(cli.Main(cli.Streams{
		Args: os.Args[1:], Env: os.Getenv, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Executable: executable,
	})))
}
