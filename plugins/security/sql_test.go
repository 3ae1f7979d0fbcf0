package main

import "testing"

func TestSQLSnippets(t *testing.T) { tryBoth(t, sqlGate{}, snippets(t, "sql")) }
