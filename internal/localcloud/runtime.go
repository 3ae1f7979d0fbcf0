package localcloud

import (
	"context"
	"net/http"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
)

// workers is what this package needs of runtime.Runtime; its contract is written there.
type workers interface {
	Apply(ctx context.Context, script runtime.Script) error
	Remove(ctx context.Context, script string) error
	Handler(script string) http.Handler
	Close(ctx context.Context) error
}

// databases is what this package needs of runtime.D1; its contract is written there.
type databases interface {
	Query(ctx context.Context, database string, statements []runtime.Statement) ([]runtime.D1Result, error)
	Snapshot(ctx context.Context, database, toFile string) error
	Restore(ctx context.Context, database, fromFile string) error
	Delete(ctx context.Context, database string) error
	Size(database string) (int64, error)
}

// startRuntime is the real one; tests of the API put a fake in its place.
func startRuntime(options runtime.Options) (workers, databases, error) {
	started, err := runtime.New(options)
	if err != nil {
		return nil, nil, err
	}
	return started, started.D1(), nil
}
