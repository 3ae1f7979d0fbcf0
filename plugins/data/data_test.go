package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m, "data") }

func TestConformance(t *testing.T) { gatetest.Conformance(t, gatetest.Binary(t)) }

// now is when all evidence of the tests was taken.
var now = time.Now().UTC()

// asEvidence is a report of evidence.
func asEvidence[T evidence.Environment | evidence.Metrics | evidence.Plan | evidence.Promotions | evidence.Rehearsal | evidence.Backups](t *testing.T, kind gates.ReportKind, value T) gates.Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), string(kind)+".json")
	if err := evidence.Write(path, value); err != nil {
		t.Fatal(err)
	}
	return gates.Report{Kind: kind, Path: path}
}
