package ledger

import (
	"context"
	"fmt"

	"github.com/penstock-ci/penstock/internal/promotion"
)

// Past returns where every promotion and rollback of an environment stands or ended, newest first.
func (l *Ledger) Past(ctx context.Context, app, environment string) ([]promotion.Checkpoint, error) {
	rows, err := l.db.QueryContext(ctx, "SELECT checkpoint FROM promotions WHERE app = ? AND environment = ? ORDER BY seq DESC", app, environment)
	if err != nil {
		return nil, fmt.Errorf("list the promotions of %s: %w", environment, err)
	}
	past, err := decodeRows[promotion.Checkpoint](rows)
	if err != nil {
		return nil, fmt.Errorf("list the promotions of %s: %w", environment, err)
	}
	return past, nil
}
