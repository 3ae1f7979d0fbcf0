package localcloud

import (
	"context"
	"errors"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

// check starts an uploaded version once, where no request reaches it, and answers with Cloudflare's refusal when it does
// not start. Cloudflare too runs a script's top level at upload, so that what was uploaded can be deployed.
//
// It runs under a name of its own and on Durable Object storage of its own: two processes must never share one.
func (c *Cloud) check(ctx context.Context, version store.Version, classes []runtime.DurableObjectClass) (took time.Duration, err error) {
	runnable, err := c.runnable(version)
	if err != nil {
		return 0, err
	}
	trial := runtime.Script{
		Name: "upload-" + version.ID, Versions: []runtime.Version{runnable},
		Shares: []runtime.Share{{VersionID: version.ID, Percentage: 100}},
	}
	for _, class := range classes {
		class.UniqueKey = store.NewID()
		trial.DurableObjects = append(trial.DurableObjects, class)
	}
	began := time.Now()
	err = startRefusal(c.workers.Apply(ctx, trial))
	took = time.Since(began)
	return took, errors.Join(err, c.workers.Remove(context.WithoutCancel(ctx), trial.Name))
}
