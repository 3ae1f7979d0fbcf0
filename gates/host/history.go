package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// historyFolders are the folders that hold a granted history: the bare repository and the object stores that it borrows
// from, by the file in which git itself looks for them. Whoever made the repository has listed all of them there.
func historyFolders(repository string) ([]string, error) {
	folders := []string{repository}
	text, err := os.ReadFile(filepath.Join(repository, "objects", "info", "alternates"))
	if errors.Is(err, fs.ErrNotExist) {
		return folders, nil
	}
	if err != nil {
		return nil, fmt.Errorf("grant the history: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if folder := strings.TrimSpace(line); filepath.IsAbs(folder) {
			folders = append(folders, folder)
		}
	}
	return folders, nil
}

// gitFolders are where this machine's git lies, when that is not among the system's own folders.
func gitFolders() []string {
	found, err := exec.LookPath("git")
	if err != nil {
		return nil // the gate will say that it found none
	}
	folders := []string{filepath.Dir(found)}
	if real, err := filepath.EvalSymlinks(found); err == nil && filepath.Dir(real) != folders[0] {
		folders = append(folders, filepath.Dir(real))
	}
	return folders
}

// gitEnvironment is what a set that was granted a history runs git with: the folders where git is, and nothing of the host's
// own PATH besides; and no configuration of the machine or the user, which the sandbox keeps git from reading.
func gitEnvironment() []string {
	return []string{
		"PATH=" + strings.Join(gitFolders(), string(os.PathListSeparator)),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
	}
}
