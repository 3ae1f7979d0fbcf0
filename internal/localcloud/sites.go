package localcloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// firstPort is the first choice for a Worker's own address: the one that wrangler dev has made familiar.
const firstPort = 8787

// site is a Worker's own stable address on this machine.
type site struct {
	url     string
	server  *http.Server
	problem string // why the last deployment could not be applied at start
}

// URL is the address of a Worker, empty when there is no such Worker.
func (c *Cloud) URL(script string) string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if site := c.sites[script]; site != nil {
		return site.url
	}
	return ""
}

func (c *Cloud) scriptInfos() []ScriptInfo {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	infos := make([]ScriptInfo, 0, len(c.sites))
	for name, site := range c.sites {
		infos = append(infos, ScriptInfo{Name: name, URL: site.url, Problem: site.problem})
	}
	slices.SortFunc(infos, func(a, b ScriptInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// openSite makes sure that a Worker has its address, and forgets what was wrong with it. Callers hold deploying, or are
// alone at start.
func (c *Cloud) openSite(ctx context.Context, script string) error {
	c.mutex.Lock()
	open := c.sites[script]
	if open != nil {
		open.problem = ""
	}
	c.mutex.Unlock()
	if open != nil {
		return nil
	}
	listener, err := c.sitePort(ctx, script)
	if err != nil {
		return fmt.Errorf("address for worker %s: %w", script, err)
	}
	server := c.serve(listener, c.workers.Handler(script))
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.sites[script] = &site{url: "http://" + listener.Addr().String(), server: server}
	return nil
}

// sitePort takes the port of last time, or else the first free one from firstPort on that no other Worker calls its own.
func (c *Cloud) sitePort(ctx context.Context, script string) (net.Listener, error) {
	owner := "script:" + script
	port, err := c.store.Port(ctx, owner)
	if err != nil {
		return nil, err
	}
	if port != 0 {
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return listener, nil
		}
	}
	taken, err := c.store.Ports(ctx)
	if err != nil {
		return nil, err
	}
	for port := firstPort; port < firstPort+1000; port++ {
		if slices.Contains(taken, port) {
			continue
		}
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // somebody else's; the next one will do
		}
		return listener, c.store.SetPort(ctx, owner, port)
	}
	return nil, fmt.Errorf("no free port between %d and %d: stop a program that listens there", firstPort, firstPort+999)
}

// closeSite takes a Worker's address away, cutting what still runs.
func (c *Cloud) closeSite(script string) error {
	c.mutex.Lock()
	closing := c.sites[script]
	delete(c.sites, script)
	c.mutex.Unlock()
	if closing == nil {
		return nil
	}
	return closing.server.Close()
}

// resume opens the address of every Worker and applies its current deployment again.
func (c *Cloud) resume(ctx context.Context) error {
	scripts, err := c.store.Scripts(ctx)
	if err != nil {
		return err
	}
	for _, script := range scripts {
		if err := c.openSite(ctx, script.Name); err != nil {
			return err
		}
		err := c.reapply(ctx, script.Name)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil, errors.Is(err, store.ErrNotFound): // uploaded, never deployed
		default:
			c.log.Error("deployment not applied again", "script", script.Name, "error", err)
			c.setProblem(script.Name, err)
		}
	}
	return nil
}

// setProblem notes why a Worker's deployment is not what serves.
func (c *Cloud) setProblem(script string, err error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if site := c.sites[script]; site != nil {
		site.problem = err.Error()
	}
}
