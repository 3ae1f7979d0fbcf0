package main

import (
	"errors"
	"syscall"
)

func newSession() *syscall.SysProcAttr { return nil }

func probe(int) error { return errors.New("Windows has no signals") }
