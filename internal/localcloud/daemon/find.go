package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud"
)

// answerTime is how long a process that holds the folder may keep silent while it starts or stops.
const answerTime = 30 * time.Second

// find returns the running daemon and what it says of itself now. It waits while one is starting or stopping.
func find(ctx context.Context, dir string) (state, localcloud.Info, error) {
	waiting, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for {
		found, starting, err := readState(dir)
		if err != nil {
			return state{}, localcloud.Info{}, err
		}
		if !starting {
			var info localcloud.Info
			if info, err = found.status(waiting); err == nil {
				return found, info, nil
			}
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return state{}, localcloud.Info{}, context.Cause(ctx)
			}
			return state{}, localcloud.Info{}, fmt.Errorf("process %d holds %s but does not answer: end that process and try again",
				found.Info.PID, filepath.Join(dir, lockName))
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// Status asks the running local Cloudflare for its addresses and Workers; ErrNotRunning when there is none.
func Status(ctx context.Context, dir string) (localcloud.Info, error) {
	_, info, err := find(ctx, dir)
	return info, err
}

// Down stops the local Cloudflare of a folder and returns when its process has let go of the folder; ErrNotRunning when
// there was none. Its state stays for the next Up.
func Down(ctx context.Context, dir string) error {
	found, _, err := find(ctx, dir)
	if err != nil {
		return err
	}
	stopping, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	if err := found.post(stopping, "/stop"); err != nil {
		return fmt.Errorf("stop the local cloudflare: %w", err)
	}
	for {
		held, err := lockHeld(dir)
		if err != nil || !held {
			return err
		}
		select {
		case <-stopping.Done():
			return fmt.Errorf("the local cloudflare, process %d, does not stop: end that process", found.Info.PID)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (s state) request(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.ControlURL+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.ControlKey)
	response, err := controlClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("it answered %s", response.Status), response.Body.Close())
	}
	return response, nil
}

// controlClient has no proxy: an HTTP_PROXY of the environment must not see the key. It keeps no idle connections, which a
// stopping daemon would have to wait for.
var controlClient = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
}}

func (s state) status(ctx context.Context) (localcloud.Info, error) {
	response, err := s.request(ctx, http.MethodGet, "/status")
	if err != nil {
		return localcloud.Info{}, err
	}
	defer response.Body.Close()
	info := localcloud.Info{}
	err = json.NewDecoder(response.Body).Decode(&info)
	return info, err
}

func (s state) post(ctx context.Context, path string) error {
	response, err := s.request(ctx, http.MethodPost, path)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// hold opens a connection that is this process's share in the lease: the daemon sees it end, however this process ends.
func (s state) hold() (io.Closer, error) {
	// Without the caller's context, whose end must not end the hold before the run has cleaned up.
	response, err := s.request(context.Background(), http.MethodGet, "/lease")
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
