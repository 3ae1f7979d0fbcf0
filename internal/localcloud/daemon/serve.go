package daemon

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// ServeOptions configures the process that Up starts.
type ServeOptions struct {
	// Dir is the folder with the state.
	Dir string
	// Workerd is the path of the workerd binary; empty: found as localcloud.Options says.
	Workerd string
	// Lease is what holds the process alive: until it ends without the word "keep". Nil: nothing but ctx and Down end it.
	Lease io.Reader
	// Report gets one line when it is ready, or when it will not be, and why. Nil discards.
	Report io.Writer
	// Log receives what happens, for instance to stderr, which Up connects to local.log. Nil discards.
	Log *slog.Logger

	start func(context.Context, localcloud.Options) (*localcloud.Cloud, error) // nil: localcloud.Start
}

// Serve runs a local Cloudflare until ctx ends, Down is called, or nobody holds it any more. It returns nil for each of
// these, after everything has been stopped.
func Serve(ctx context.Context, options ServeOptions) error {
	if options.Report == nil {
		options.Report = io.Discard
	}
	if options.Log == nil {
		options.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if options.start == nil {
		options.start = localcloud.Start
	}
	// Report is usually a pipe on stdout. When its reader has been killed, writing to it must be an error, not our death:
	// there are processes to stop.
	signal.Ignore(syscall.SIGPIPE)
	lock, err := takeLock(ctx, options.Dir)
	if err != nil {
		return errors.Join(err, tell(options.Report, report{Busy: errors.Is(err, errOvertaken), Problem: err.Error()}))
	}
	defer lock.Unlock() // the kernel does it anyway when the process ends
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	holders := newLease(func() { stop(errors.New("nobody holds the local cloudflare any more")) })
	if options.Lease != nil {
		go holders.watch(options.Lease)
	}
	if err := serve(ctx, stop, holders, options); err != nil {
		return errors.Join(err, tell(options.Report, report{Problem: err.Error()}))
	}
	return nil
}

// takeLock waits a moment, because whoever looks whether a daemon runs holds the lock for an instant.
func takeLock(ctx context.Context, dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	trying, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	taken, err := lock.TryLockContext(trying, 10*time.Millisecond)
	if taken {
		return lock, nil
	}
	if err == nil || (errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil) {
		return nil, errOvertaken
	}
	return nil, fmt.Errorf("lock %s: %w", lock.Path(), err)
}

func tell(to io.Writer, what report) error {
	line, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = to.Write(append(line, '\n'))
	return err
}

func serve(ctx context.Context, stop context.CancelCauseFunc, holders *lease, options ServeOptions) (err error) {
	stateFile := filepath.Join(options.Dir, stateName)
	// What lies there was written by a process that is gone, since we have the lock.
	if err := os.Remove(stateFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale state: %w", err)
	}
	cloud, err := options.start(ctx, localcloud.Options{Dir: options.Dir, Workerd: options.Workerd, Log: options.Log})
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime/2)
		defer cancel()
		err = errors.Join(err, cloud.Close(closing))
	}()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for control: %w", err)
	}
	written := state{Info: cloud.Info(), StartedAt: time.Now().UTC(), ControlURL: "http://" + listener.Addr().String(), ControlKey: store.NewID()}
	server := &http.Server{Handler: control(written.ControlKey, cloud, holders, stop), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends by Close; whoever asks in vain sees that nobody answers
	}()
	defer func() {
		_ = server.Close() // cuts the connections that hold a lease; nothing is lost with them
		<-served
	}()
	if err := writeState(options.Dir, written); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(stateFile)) }()
	if err := tell(options.Report, report{Ready: true}); err != nil {
		options.Log.Warn("nobody reads the report", "error", err)
	}
	options.Log.Info("local cloudflare serves", "api", written.Info.APIURL, "edge", written.Info.EdgeURL)
	<-ctx.Done()
	options.Log.Info("local cloudflare stops", "reason", context.Cause(ctx))
	return nil
}

// control is how other processes of the same user reach the daemon.
func control(key string, cloud *localcloud.Cloud, holders *lease, stop context.CancelCauseFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(cloud.Info()) // fails only when the asker has gone
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // before this connection is cut with all others
		stop(errors.New("asked to stop"))
	})
	mux.HandleFunc("POST /keep", func(http.ResponseWriter, *http.Request) { holders.keep() })
	mux.HandleFunc("GET /lease", func(w http.ResponseWriter, r *http.Request) {
		holders.take()
		defer holders.release()
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // the holder waits for the headers
		<-r.Context().Done()
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+key)) != 1 {
			http.Error(w, "not allowed", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
