//go:build !linux

package main

var attempts map[string]func(what string) error
