package host

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// minder is the parent's end of the minder process: a pipe on which it is told which process groups there are. When this
// process dies, however it dies, the pipe ends, and the minder kills what is left. nil minds nothing.
type minder struct {
	mu   sync.Mutex
	pipe io.WriteCloser
	cmd  *exec.Cmd
}

// startMinder starts the minder of a run.
func startMinder(command []string, mark string) (*minder, error) {
	if len(command) == 0 || !minderNeeded {
		return nil, nil
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{} // nothing in it is the minder's business, and no mark may be in it
	ownSession(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the minder: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the minder, which ends the stages' programs should Penstock be killed: %w", err)
	}
	m := &minder{pipe: pipe, cmd: cmd}
	m.tell("mark " + mark)
	return m, nil
}

func (m *minder) add(group int)    { m.tell("+" + strconv.Itoa(group)) }
func (m *minder) remove(group int) { m.tell("-" + strconv.Itoa(group)) }

// tell writes one line. A minder that is gone cannot be told; the stage's own clean-up does not depend on it.
func (m *minder) tell(line string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = io.WriteString(m.pipe, line+"\n")
}

// close dismisses the minder, which takes a last look, and waits for it.
func (m *minder) close() {
	if m == nil {
		return
	}
	_ = m.pipe.Close()
	_ = m.cmd.Wait()
}

// RunMinder is the whole life of a minder process: it reads from in, its standard input, what there is to mind, and when
// that ends it kills what is left and returns. The command line calls it for the hidden argument that [Options].Minder
// names, before it does anything else. It must ignore interrupts, which are meant for the process that it minds.
func RunMinder(in io.Reader) error {
	ignoreInterrupts()
	groups := map[int]bool{}
	mark := ""
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if value, ok := strings.CutPrefix(line, "mark "); ok {
			mark = value
			continue
		}
		if len(line) < 2 {
			continue
		}
		group, err := strconv.Atoi(line[1:])
		// Signalling group 0 or 1 would mean our own group, or every process.
		if err != nil || group < 2 {
			continue
		}
		if line[0] == '+' {
			groups[group] = true
		} else {
			delete(groups, group)
		}
	}
	if mark == "" {
		return nil // the end came before there was anything to mind
	}
	left := make([]int, 0, len(groups))
	for group := range groups {
		left = append(left, group)
	}
	return killMarked(context.Background(), mark, left)
}
