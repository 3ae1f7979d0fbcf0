package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/penstock-ci/penstock/internal/localcloud"
)

// ErrNotRunning says that no local Cloudflare serves the folder.
var ErrNotRunning = errors.New("the local cloudflare is not running")

// state is what a running daemon writes for others of the same user to find it.
type state struct {
	Info       localcloud.Info `json:"info"`
	StartedAt  time.Time       `json:"started_at"`
	ControlURL string          `json:"control_url"`
	ControlKey string          `json:"control_key"` // made anew by every start: a stale file opens nothing
}

const (
	stateName = "local.json"
	lockName  = "local.lock"
	logName   = "local.log"
)

// readState returns what the running daemon wrote. A file that nobody holds the lock for is stale, whatever it says: a
// process number in it may be somebody else's by now. starting tells that a daemon holds the lock and has not written yet.
func readState(dir string) (found state, starting bool, err error) {
	held, err := lockHeld(dir)
	if err != nil || !held {
		return state{}, false, errors.Join(err, ErrNotRunning)
	}
	text, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, os.ErrNotExist) {
		return state{}, true, nil
	}
	if err != nil {
		return state{}, false, fmt.Errorf("read state of the local cloudflare: %w", err)
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return state{}, false, fmt.Errorf("read %s: %w", filepath.Join(dir, stateName), err)
	}
	return found, false, nil
}

// lockHeld tells whether a daemon lives. It takes the lock for a moment when nobody has it.
func lockHeld(dir string) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, lockName)); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	free, err := lock.TryRLock()
	if err != nil {
		return false, fmt.Errorf("look at the lock of the local cloudflare: %w", err)
	}
	if !free {
		return true, nil
	}
	return false, lock.Unlock()
}

// writeState replaces the file in one step, so that a reader sees all of it or none.
func writeState(dir string, written state) error {
	text, err := json.MarshalIndent(written, "", "  ")
	if err != nil {
		return err
	}
	next := filepath.Join(dir, stateName+".next")
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(dir, stateName))
}
