package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Interpreter is what runs a set that is a script. It is pinned like the script, because it is what is executed: the
// script is only its input. Its shared libraries are the system's, as those of every program are.
type Interpreter struct {
	Name   string // a program on the host's PATH, such as node, or an absolute path
	SHA256 string // of the program, in hex
}

// isScript reports whether a file starts with "#!".
func isScript(file io.ReaderAt) bool {
	var start [2]byte
	_, err := file.ReadAt(start[:], 0)
	return err == nil && string(start[:]) == "#!"
}

// isWrapper reports whether a program is itself a script.
func isWrapper(program string) (bool, error) {
	file, err := os.Open(program)
	if err != nil {
		return false, err
	}
	defer file.Close()
	return isScript(file), nil
}

// interpreterOf reads which program a script asks for in its first line. Options there are not supported, because the
// script is handed to the program on its standard input.
func interpreterOf(script io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(script, 256)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	if len(words) > 1 && filepath.Base(words[0]) == "env" {
		words = words[1:]
	}
	if len(words) != 1 || strings.HasPrefix(words[0], "-") {
		return "", fmt.Errorf("its first line %q names no interpreter alone: write #!/usr/bin/env NAME", strings.TrimSpace(line))
	}
	return words[0], nil
}

// pinInterpreter is the interpreter of the script at path, as it is on this machine now.
func pinInterpreter(path string) (Interpreter, error) {
	file, err := os.Open(path)
	if err != nil {
		return Interpreter{}, err
	}
	defer file.Close()
	if !isScript(file) {
		return Interpreter{}, nil
	}
	name, err := interpreterOf(file)
	if err != nil {
		return Interpreter{}, fmt.Errorf("read the interpreter of %s: %w", path, err)
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return Interpreter{}, fmt.Errorf("find the interpreter of %s: %w: install %s", path, err, name)
	}
	if wraps, err := isWrapper(program); err != nil || wraps {
		return Interpreter{}, errors.Join(err, fmt.Errorf("the interpreter of %s, %s at %s, is a script that starts another program, as version managers have: "+
			"name that program in the first line, such as #!/usr/bin/%s", path, name, program, filepath.Base(name)))
	}
	digest, err := hashFile(program)
	return Interpreter{Name: name, SHA256: digest}, err
}

// verifyInterpreter makes the verified copy of what runs a script.
func verifyInterpreter(ref PluginRef, scratch string, limit int64) (*image, error) {
	wanted := ref.Pin.Interpreter
	if wanted.Name == "" || wanted.SHA256 == "" {
		return nil, fmt.Errorf("%w: the gate set %s is a script, and nothing pins what runs it here: lock it with `penstock gates lock %s`",
			ErrUntrusted, ref.Set, ref.Path)
	}
	program, err := exec.LookPath(wanted.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: the gate set %s runs on %s, which is not here: %w: install it", ErrUntrusted, ref.Set, wanted.Name, err)
	}
	copied, found, err := copyOf(program, scratch, limit)
	if err != nil {
		return nil, fmt.Errorf("copy the interpreter of the gate set %s: %w", ref.Set, err)
	}
	if found != wanted.SHA256 {
		return nil, errors.Join(copied.close(), fmt.Errorf("%w: the gate set %s runs on %s, and %s has the checksum %s, while %s was pinned: "+
			"use the same build of it, or lock the set anew once you trust this one", ErrUntrusted, ref.Set, wanted.Name, program, found, wanted.SHA256))
	}
	copied.linked = isLinked(copied.file)
	return copied, copied.seal()
}

// executed is the program that runs: the binary, or what interprets it.
func (i *image) executed() *image {
	if i.interpreter != nil {
		return i.interpreter
	}
	return i
}

// command is what is executed: the binary, or the interpreter with the script on its standard input. The caller closes
// the input, which is nil for a binary.
func (i *image) command() (path string, arguments []string, input *os.File, err error) {
	if i.interpreter == nil {
		return i.path, []string{i.name}, nil, nil
	}
	// A new description, because two processes must not share one place in the file.
	if input, err = os.Open(i.path); err != nil {
		return "", nil, nil, fmt.Errorf("open the script: %w", err)
	}
	return i.interpreter.path, []string{i.interpreter.name, "-"}, input, nil
}
