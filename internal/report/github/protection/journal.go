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
	for _, name := range []string{"signature-" + hex.EncodeToString(digest[:]), "delivery-" + request.Delivery} {
		file, err := os.OpenFile(filepath.Join(j.dir, name+".seen"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := file.Close(); err != nil {
			return false, err
		}
	}
	temporary := filepath.Join(j.dir, request.Delivery+".new")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return false, err
	}
	return true, os.Rename(temporary, j.openFile(request))
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
