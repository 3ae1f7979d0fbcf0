package main

import (
	"path/filepath"
	"testing"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m, "quality") }

func TestConformance(t *testing.T) { gatetest.Conformance(t, gatetest.Binary(t)) }

func withLog(stage gates.Stage, path string) gates.Stage {
	stage.Log = path
	return stage
}

func fixture(kind gates.ReportKind, stage, path string) gates.Report {
	return gates.Report{Kind: kind, Stage: stage, Path: filepath.Join("testdata", path), Root: "/app"}
}
