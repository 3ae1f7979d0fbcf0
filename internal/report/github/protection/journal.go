package protection

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// journal keeps what was accepted, in files: <id>.open until it is decided, <id>.seen for ever after, for the delivery and for
// its signature.
type journal struct {
	dir string
	mu  sync.Mutex
}

// accept keeps a request; fresh is false when its delivery or signature was seen before.
func (j *journal) accept(request Request, signature string) (fresh bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return false, err
	}
	text, err := json.Marshal(request)
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256([]byte(signature))
	var marks []string
	for _, name := range []string{"signature-" + hex.EncodeToString(digest[:]), "delivery-" + request.Delivery} {
		mark := filepath.Join(j.dir, name+".seen")
		if _, err := os.Lstat(mark); err == nil {
			return false, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		marks = append(marks, mark)
	}
	// First what is to be done, then that it was seen: wherever this process dies, the delivery is kept or can come again.
	temporary := filepath.Join(j.dir, request.Delivery+".new")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return false, err
	}
	if err := os.Rename(temporary, j.openFile(request)); err != nil {
		return false, err
	}
	for _, mark := range marks {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (j *journal) openFile(request Request) string {
	return filepath.Join(j.dir, request.Delivery+".open")
}

// decided forgets that a request is open.
func (j *journal) decided(request Request) error { return os.Remove(j.openFile(request)) }

// open lists what was accepted and not decided.
func (j *journal) open() ([]Request, error) {
	entries, err := os.ReadDir(j.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var requests []Request
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".open") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(j.dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		var request Request
		if err := json.Unmarshal(text, &request); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		requests = append(requests, request)
	}
	return requests, nil
}
