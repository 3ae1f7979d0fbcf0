package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// maxFile bounds what a gate reads of one file: far above any real report, and far below what would exhaust it.
const maxFile = 128 << 20

// readFile reads a report or a log.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	return content, err
}

// problem says what is wrong with a report.
func problem(report gates.Report, err error) string {
	return fmt.Sprintf("the %s report of stage %s cannot be read: %v", report.Kind, report.Stage, cause(err))
}

// cause is an error without the path of the copy that the gate was given, which means nothing to anybody else.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

var ansi = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`)

// readLog returns a stage's log as lines without colours; none when it left no log.
func readLog(stage *gates.Stage) ([]string, error) {
	if stage.Log == "" {
		return nil, nil
	}
	content, err := readFile(stage.Log)
	if err != nil {
		return nil, fmt.Errorf("read the log of stage %s: %w", stage.Name, err)
	}
	text := strings.ReplaceAll(ansi.ReplaceAllString(string(content), ""), "\r\n", "\n")
	return strings.Split(text, "\n"), nil
}

// lastOf returns the last n lines that say something.
func lastOf(log []string, n int) string {
	var last []string
	for i := len(log) - 1; i >= 0 && len(last) < n; i-- {
		if strings.TrimSpace(log[i]) != "" {
			last = append([]string{strings.TrimRight(log[i], " \t\r")}, last...)
		}
	}
	return strings.Join(last, "\n")
}

// unexplained is the finding for a stage that failed and left nothing which says why: the end of its log.
func unexplained(stage *gates.Stage) []gates.Finding {
	log, err := readLog(stage)
	if err != nil {
		return []gates.Finding{{Level: gates.LevelError, Message: "the log cannot be read"}}
	}
	return []gates.Finding{{Level: gates.LevelError, Message: "the last lines of stage " + stage.Name, Detail: lastOf(log, 20)}}
}
