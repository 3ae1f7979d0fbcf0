package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
)

// spawnCommand makes this program the bare contender: `bench spawn COUNT AT-ONCE PROGRAM` starts PROGRAM so often, that many
// at once, and does nothing else. It is a process of its own so that its start and its memory count as everybody's do.
const spawnCommand = "spawn"

func spawn(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: %s COUNT AT-ONCE PROGRAM", spawnCommand)
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	atOnce, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if atOnce < 1 {
		return errors.New("at least one at once")
	}
	turns := make(chan struct{}, count)
	for range count {
		turns <- struct{}{}
	}
	close(turns)
	problems := make([]error, atOnce)
	var workers sync.WaitGroup
	for i := range atOnce {
		workers.Go(func() {
			for range turns {
				if err := exec.Command(args[2]).Run(); err != nil {
					problems[i] = err
					return
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(problems...)
}
