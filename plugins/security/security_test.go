package main

import (
	"testing"

	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m, "security") }

func TestConformance(t *testing.T) { gatetest.Conformance(t, gatetest.Binary(t)) }
