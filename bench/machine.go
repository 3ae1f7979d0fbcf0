package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine says where figures come from, without naming the machine.
type machine struct {
	CPU      string   `json:"cpu"`
	Cores    int      `json:"cores"`
	Platform string   `json:"platform"`
	Load     string   `json:"load,omitempty"` // load averages before the first figure: others may have been at work
	Tools    []string `json:"tools"`          // what answered to --version, by its first line
}

func describeMachine(ctx context.Context, b *bench) machine {
	found := machine{CPU: cpuModel(), Cores: runtime.NumCPU(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		found.Load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	for _, argv := range [][]string{{b.penstock, "version"}, {"make", "--version"}, {"bash", "--version"}, {"git", "--version"}, {"go", "version"}} {
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		first, _, _ := strings.Cut(string(out), "\n")
		if err != nil {
			first = argv[0] + ": not to be had here"
		}
		found.Tools = append(found.Tools, first)
	}
	return found
}

func (m machine) String() string {
	text := fmt.Sprintf("%s, %d cores, %s", m.CPU, m.Cores, m.Platform)
	if m.Load != "" {
		text += "; load before the start " + m.Load
	}
	return text + "\n" + strings.Join(m.Tools, "\n")
}

// cpuModel reads what Linux says; elsewhere the architecture must do.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH + " of an unknown model"
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH + " of an unknown model"
}
