package main

import "testing"

func TestInputSnippets(t *testing.T) { tryBoth(t, inputGate{}, snippets(t, "input")) }
