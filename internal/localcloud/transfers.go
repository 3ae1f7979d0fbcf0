package localcloud

import (
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// transferPrefix is where signed URLs lead. They bear no token, like Cloudflare's, which lead to R2: the ticket in the
// path is the permission.
const transferPrefix = "/transfers/"

// transferTime is how long a signed URL works.
// Source: https://developers.cloudflare.com/d1/best-practices/import-export-data/ ("valid for one hour").
const transferTime = time.Hour

// maxTransfer bounds what an upload may hold in memory; D1's own limit is 5 GiB.
const maxTransfer = 256 << 20

// transfers holds the files that D1 imports and exports pass through signed URLs. They live in memory: a restart forgets
// them, and the client begins again.
type transfers struct {
	mutex sync.Mutex
	files map[string]*transferFile
}

type transferFile struct {
	body    []byte
	upload  bool // may be written through its URL
	expires time.Time
}

func newTransfers() *transfers { return &transfers{files: map[string]*transferFile{}} }

// offer makes a ticket for a file to download, or for an upload when body is nil.
func (t *transfers) offer(body []byte) (ticket string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for ticket, file := range t.files {
		if time.Now().After(file.expires) {
			delete(t.files, ticket)
		}
	}
	ticket = store.NewID()
	t.files[ticket] = &transferFile{body: body, upload: body == nil, expires: time.Now().Add(transferTime)}
	return ticket
}

// find returns a file that is still valid.
func (t *transfers) find(ticket string) (transferFile, bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	file := t.files[ticket]
	if file == nil || time.Now().After(file.expires) {
		return transferFile{}, false
	}
	return *file, true
}

// receive keeps an uploaded body.
func (t *transfers) receive(ticket string, body []byte) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if file := t.files[ticket]; file != nil {
		file.body = body
	}
}

// transfer serves a signed URL: GET for an export, PUT for an import, whose ETag is the MD5 of what arrived.
func (c *Cloud) transfer(w http.ResponseWriter, r *http.Request) (*answer, error) {
	ticket := strings.TrimPrefix(r.URL.Path, transferPrefix)
	file, valid := c.transfers.find(ticket)
	switch {
	case !valid:
		return nil, refuse(http.StatusForbidden, codeAuthentication, "this signed URL is not valid, or no longer: ask for a new one")
	case r.Method == http.MethodPut && file.upload:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTransfer))
		if err != nil {
			return nil, refuse(http.StatusRequestEntityTooLarge, codeDatabaseBusyOrBad, "upload: %v", err)
		}
		c.transfers.receive(ticket, body)
		sum := md5.Sum(body)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		w.WriteHeader(http.StatusOK)
		return nil, nil
	case r.Method == http.MethodGet && !file.upload:
		w.Header().Set("Content-Type", "application/sql")
		_, _ = w.Write(file.body) // fails only when the client has gone
		return nil, nil
	}
	return nil, refuse(http.StatusMethodNotAllowed, codeUnknownRoute, "%s is not what this signed URL is for", r.Method)
}
