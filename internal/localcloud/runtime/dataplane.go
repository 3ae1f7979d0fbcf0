package runtime

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// dataPlane answers what workers ask of their bindings: workerd turns each operation into an HTTP request to this server
// and adds, by its configuration, a secret and the name of the resource. Other local processes do not know the secret;
// workers cannot set these headers.
type dataPlane struct {
	runtime *Runtime
	address string
	secret  string
	server  *http.Server
	served  chan error

	// r2Writes serialises conditional writes to one object, so that two of them cannot both see their condition met.
	r2Writes keyedLocks
}

func newDataPlane(r *Runtime) (*dataPlane, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the workers' bindings: %w", err)
	}
	d := &dataPlane{runtime: r, address: listener.Addr().String(), secret: randomSecret(), served: make(chan error, 1)}
	d.server = &http.Server{
		Handler:           d,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    2 << 20, // R2 sends custom metadata in a header
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	go func() { d.served <- d.server.Serve(listener) }()
	return d, nil
}

func (d *dataPlane) close() error {
	err := d.server.Close()
	if served := <-d.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (d *dataPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get(headerSecret)), []byte(d.secret)) != 1 {
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	kind, name, _ := strings.Cut(r.Header.Get(headerBinding), ":")
	r.Header.Del(headerSecret)
	r.Header.Del(headerBinding)
	switch kind {
	case "kv":
		d.serveKV(w, r, name)
	case "r2":
		d.serveR2(w, r, name)
	case "queue":
		d.serveQueue(w, r, name)
	case "d1":
		d.serveD1(w, r, name)
	case "service":
		edge{runtime: d.runtime, name: name, internal: true}.ServeHTTP(w, r)
	case "assets":
		d.serveAssets(w, r, name)
	case "vectorize":
		d.serveVectors(w, r, name)
	case "ai":
		serveAI(w, r)
	case "trace":
		d.serveTrace(w, r, name)
	case "cache":
		serveCache(w, r)
	default:
		http.Error(w, "unknown binding", http.StatusNotFound)
	}
}

// serveCache is a cache that keeps nothing, which is what the Cache API does on workers.dev: a lookup misses, a put is
// accepted, a delete finds nothing.
func serveCache(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut:
		// The body must be read, or workerd sees a broken connection.
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	case "PURGE":
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("CF-Cache-Status", "MISS")
		w.WriteHeader(http.StatusGatewayTimeout)
	}
}

// fail answers for a store that does not work. The text reaches the log only: workers see the status.
func (d *dataPlane) fail(w http.ResponseWriter, what string, err error) {
	d.runtime.log.Error("binding failed", "operation", what, "error", err)
	http.Error(w, "internal error", http.StatusInternalServerError)
}

func writeJSON(w http.ResponseWriter, value any) { writeStatusJSON(w, http.StatusOK, value) }

func writeStatusJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The worker that asked may have gone; nobody else wants to know.
	_ = json.NewEncoder(w).Encode(value)
}

// keyedLocks is a lock per key. The zero value is ready.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*countedLock
}

type countedLock struct {
	sync.RWMutex
	users int
}

// get returns the key's lock, not locked; done must be called after unlocking.
func (k *keyedLocks) get(key string) (lock *sync.RWMutex, done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locks == nil {
		k.locks = map[string]*countedLock{}
	}
	l := k.locks[key]
	if l == nil {
		l = &countedLock{}
		k.locks[key] = l
	}
	l.users++
	return &l.RWMutex, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, key)
		}
	}
}
