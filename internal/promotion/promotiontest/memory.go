package promotiontest

import (
	"fmt"
	"testing"

	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

// Memory is a [Place] without a disk or a network. What the cloud complains about fails the test.
type Memory struct {
	*Cloud
	Journal *Journal

	bundles int
}

// NewMemory is an empty one.
func NewMemory(t testing.TB) *Memory {
	m := &Memory{Cloud: &Cloud{}, Journal: &Journal{}}
	m.Cloud.Held = m.Journal.Held
	t.Cleanup(func() {
		if complaints := m.Complaints(); len(complaints) > 0 {
			t.Errorf("misuse: %q", complaints)
		}
	})
	return m
}

// Ports implements Place.
func (m *Memory) Ports() (promotion.Rewinder, promotion.Prober, promotion.Journal) {
	m.Journal.HolderDied()
	return m.Cloud, m.Cloud, m.Journal
}

// Environment implements Place.
func (m *Memory) Environment() pipelines.Environment {
	return pipelines.Environment{Name: "production", Provision: true}
}

// Held implements Place.
func (m *Memory) Held() bool { return m.Journal.Held() }

// Past implements Place.
func (m *Memory) Past() []promotion.Checkpoint { return m.Journal.Past() }

// Restores implements Place.
func (m *Memory) Restores() int { return len(m.Restored()) }

// Bundle implements Place.
func (m *Memory) Bundle(health Health) *bundle.Bundle {
	m.bundles++
	return &bundle.Bundle{Digest: fmt.Sprintf("sha256:%s-%d", health, m.bundles)}
}

// Upload implements Place.
func (m *Memory) Upload() string { return m.UploadForeign() }

// Add implements Place.
func (m *Memory) Add(breaking bool) {
	migration := promotion.Migration{Database: "db", Name: fmt.Sprintf("%04d.sql", len(m.Wanted)+1), Digest: "sha256:aa"}
	if breaking {
		migration.Breaks = "it takes something away: TABLE users"
	}
	m.Wanted = append(m.Wanted, migration)
}
