package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// FindWorkerd returns the path of a workerd binary that answered to --version: $PENSTOCK_WORKERD if set, otherwise the one
// that an npm install left in node_modules of one of the folders or of their parents (wrangler depends on it). The error
// says how to get one.
func FindWorkerd(folders ...string) (string, error) {
	if err := platformError(); err != nil {
		return "", err
	}
	if path := os.Getenv("PENSTOCK_WORKERD"); path != "" {
		if _, err := workerdVersion(path); err != nil {
			return "", fmt.Errorf("PENSTOCK_WORKERD: %w", err)
		}
		return path, nil
	}
	pkg := workerdPackage()
	var broken []error
	for _, folder := range folders {
		dir, err := filepath.Abs(folder)
		if err != nil {
			return "", fmt.Errorf("look for workerd: %w", err)
		}
		// Node looks in every parent, and a workspace keeps its packages at its root.
		for {
			path := filepath.Join(dir, "node_modules", filepath.FromSlash(pkg), "bin", "workerd")
			if _, err := os.Stat(path); err == nil {
				if _, err = workerdVersion(path); err == nil {
					return path, nil
				}
				broken = append(broken, err)
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	missing := fmt.Errorf("no workerd found: run \"npm install\" in the app (wrangler brings it), or \"npm install %s\" "+
		"anywhere and set PENSTOCK_WORKERD to its bin/workerd", pkg)
	return "", errors.Join(append(broken, missing)...)
}

// workerdPackage is the npm package with the binary for this machine. Node says x64 to amd64, and workerd's packages say 64.
func workerdPackage() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "64"
	}
	return "@cloudflare/workerd-" + runtime.GOOS + "-" + arch
}

var versionLine = regexp.MustCompile(`^workerd (\d{4}-\d{2}-\d{2})\s*$`)

// workerdVersion runs the binary and returns its version, a date.
func workerdVersion(binary string) (string, error) {
	if binary == "" {
		return "", errors.New("no path of a workerd binary was given; FindWorkerd finds one")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w; reinstall it with npm", binary, err)
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return "", fmt.Errorf("%s is not workerd: it calls itself %q", binary, strings.TrimSpace(string(out)))
	}
	return m[1], nil
}

// acceptStateVersion records the workerd version that a state folder is used with, and refuses one older than any before:
// workerd upgrades its tables in place, and an older one crashes on them.
func acceptStateVersion(file, version string) error {
	recorded, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the state folder's version: %w", err)
	}
	before := strings.TrimSpace(string(recorded))
	if version < before { // dates in this form sort as text
		return fmt.Errorf("the state folder %s was used by workerd %s and cannot go back to %s: install workerd %s or newer, "+
			"or start with an empty folder", filepath.Dir(file), before, version, before)
	}
	if version == before {
		return nil
	}
	if err := os.WriteFile(file, []byte(version+"\n"), 0o600); err != nil {
		return fmt.Errorf("record the state folder's version: %w", err)
	}
	return nil
}
