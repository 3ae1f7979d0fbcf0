package localcloud

import (
	"context"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// arrival is a script whose newest deployments are written down and have not reached the edge yet.
type arrival struct {
	serving []runtime.Share // what the edge still knows; empty: nothing
	waiting int             // deployments on their way
}

// propagation keeps what is on its way to the edge. It is guarded by Cloud.deploying.
type propagation struct {
	scripts map[string]*arrival
	latest  map[string]int // by script: the number of the last deployment that reached the edge
	number  int            // of the last deployment that was made
}

// arrives notes a deployment that reaches the edge at once: older ones that are still on their way must not overtake it.
func (p *propagation) arrives(script string) {
	p.number++
	p.latest[script] = p.number
	delete(p.scripts, script)
}

// propagate lets a deployment reach the edge after the given time; before says what serves until then. Callers hold
// deploying.
func (c *Cloud) propagate(script string, before []runtime.Share, deployment store.Deployment, after time.Duration) {
	p := &c.propagation
	p.number++
	number := p.number
	if p.scripts[script] == nil {
		p.scripts[script] = &arrival{serving: before}
	}
	p.scripts[script].waiting++
	c.serving.Go(func() {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.stopping.Done(): // the next start applies what is written down
			return
		}
		c.deploying.Lock()
		defer c.deploying.Unlock()
		if p.scripts[script] == nil || number < p.latest[script] {
			return // overtaken, or the script is gone
		}
		if err := c.arrive(context.WithoutCancel(c.stopping), script, deployment); err != nil {
			c.log.Error("deployment did not reach the edge", "script", script, "error", err)
			c.setProblem(script, err)
		}
		p.latest[script] = number
		at := p.scripts[script]
		at.serving, at.waiting = deployment.Shares, at.waiting-1
		if at.waiting == 0 {
			delete(p.scripts, script)
		}
	})
}

func (c *Cloud) arrive(ctx context.Context, name string, deployment store.Deployment) error {
	script, err := c.store.Script(ctx, name)
	if err != nil {
		return err
	}
	classes, err := c.store.Classes(ctx, name)
	if err != nil {
		return err
	}
	return c.apply(ctx, script, classes, deployment.Shares)
}
