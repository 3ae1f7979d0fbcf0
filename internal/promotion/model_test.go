package promotion_test

import (
	"testing"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion/promotiontest"
)

// TestStories tells random stories of one environment in memory; what must hold is said at promotiontest.Story.
func TestStories(t *testing.T) {
	t.Parallel()
	promotiontest.Stories(t, promotiontest.Telling{Lasts: 2 * time.Second, LastsSlow: time.Minute, Steps: 60, InCI: 300}, func() promotiontest.Place {
		return promotiontest.NewMemory(t)
	})
}
