package ledger

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// writerEnv makes this test binary a writer that is there to be killed; its value is the ledger's path.
const writerEnv = "PENSTOCK_TEST_LEDGER_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		if err := writeUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled records runs and checkpoints for ever, and prints how many checkpoints it was told are on disk.
func writeUntilKilled(path string) error {
	ctx := context.Background()
	l, err := Open(ctx, path)
	if err != nil {
		return err
	}
	lease, err := l.Acquire(ctx, "guide", "local", fmt.Sprintf("p%d", os.Getpid()))
	if err != nil {
		return err
	}
	observer := l.Observer()
	for n := 1; ; n++ {
		for _, e := range aRun(fmt.Sprintf("r%d-%d", os.Getpid(), n)) {
			observer.Observe(e)
		}
		state := promotion.Checkpoint{Promotion: lease.Promotion, State: promotion.Shifting, Bookmark: strconv.Itoa(n)}
		if err := l.Checkpoint(ctx, lease, state); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// A writer killed at any moment leaves a ledger that opens, verifies and holds all that was acknowledged; the lease of the
// dead one is free at once.
func TestAKilledWriterLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	const rounds = 12
	for round := range rounds {
		writer := exec.CommandContext(t.Context(), os.Args[0])
		writer.Env = append(os.Environ(), writerEnv+"="+path)
		writer.Stderr = os.Stderr
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatalf("the writer never wrote: %v", err)
		}
		time.AfterFunc(time.Duration(round*3)*time.Millisecond, func() { _ = writer.Process.Kill() })
		acknowledged := 1
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // a line that was cut off was not acknowledged
			}
			if acknowledged, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
				t.Fatal(err)
			}
		}
		_ = writer.Wait()

		l := open(t, path)
		sound(t, l)
		lease := acquire(t, l, "after")
		if len(lease.Abandoned) == 0 {
			t.Fatal("the killed promotion is not abandoned")
		}
		written, err := strconv.Atoi(lease.Abandoned[0].Bookmark)
		if err != nil || written < acknowledged {
			t.Fatalf("checkpoint %d is on record, %d was acknowledged (%v)", written, acknowledged, err)
		}
		if err := l.Release(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
