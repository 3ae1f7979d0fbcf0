//go:build unix

package main

import "syscall"

func newSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// probe asks whether a process could be sent a signal.
func probe(pid int) error { return syscall.Kill(pid, 0) }
