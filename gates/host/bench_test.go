package host_test

import (
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/host"
)

// BenchmarkBareStart is what any process start of the same binary costs: the floor under the others.
func BenchmarkBareStart(b *testing.B) {
	for b.Loop() {
		command := exec.Command(built.path, "--started-by-hand")
		if err := command.Run(); err == nil {
			b.Fatal("a set that is started by hand must not succeed")
		}
	}
}

// BenchmarkGates is a whole run: verify, confine, start, shake hands, describe, ask n gates at once, stop.
func BenchmarkGates(b *testing.B) {
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ref := refTo(b, "good")
			scratch := b.TempDir()
			for b.Loop() {
				h := host.New(host.Options{Sets: []host.PluginRef{ref}, ScratchDir: scratch})
				var asking sync.WaitGroup
				for i := range n {
					asking.Go(func() {
						verdict := ask(b, h, fmt.Sprintf("good/many-%d", i), gates.Request{})
						if verdict.Outcome != gates.Pass {
							b.Error(verdict)
						}
					})
				}
				asking.Wait()
				if err := h.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAsk is one question to a set that runs already.
func BenchmarkAsk(b *testing.B) {
	h := newHost(b, host.Options{Sets: []host.PluginRef{refTo(b, "good")}})
	for b.Loop() {
		if verdict := ask(b, h, "good/many-1", gates.Request{}); verdict.Outcome != gates.Pass {
			b.Fatal(verdict)
		}
	}
}
