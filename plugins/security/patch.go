package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// addition is a run of lines that a commit added to a file.
type addition struct {
	commit string // full hash
	age    int    // of the commit: 0 is the first that was printed
	file   string
	line   int // of the first added line in the commit's version of the file
	text   string
}

// patchMark begins the line before each commit's patch; the format of git log that readPatches reads makes it.
const patchMark = "\x00commit "

// patchReading is what there was besides text.
type patchReading struct {
	commits  int
	binaries int
}

// readPatches reads what `git log --patch --unified=0 --format=%x00commit %H` prints. It goes by the numbers of lines in
// the hunks' headers, so that no content of a file is mistaken for a header; whatever it does not expect is an error, as a
// patch that is passed over would be one that nobody looked at.
func readPatches(from io.Reader, each func(addition) error) (patchReading, error) {
	var read patchReading
	lines := bufio.NewReaderSize(from, 256<<10)
	current := addition{age: -1}
	for {
		line, err := nextLine(lines)
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return read, err
		}
		switch {
		case strings.HasPrefix(line, patchMark):
			current = addition{commit: strings.TrimPrefix(line, patchMark), age: current.age + 1}
			read.commits++
		case strings.HasPrefix(line, "diff --git "):
			current.file = ""
		case strings.HasPrefix(line, "+++ "):
			current.file, err = patchedFile(line)
		case strings.HasPrefix(line, "Binary files "):
			read.binaries++
		case strings.HasPrefix(line, "@@ "):
			err = readHunk(lines, line, &current)
			if err == nil && current.text != "" {
				if current.commit == "" || current.file == "" {
					err = errPatch
				} else if err := each(current); err != nil {
					return read, err
				}
			}
		case line == "", isExtendedHeader(line), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, `\ `):
		default:
			err = errPatch
		}
		if err != nil {
			return read, fmt.Errorf("read the patch of commit %s: %w", shortCommit(current.commit), err)
		}
	}
}

// errPatch does not quote what could not be read: it may be a line of a file, and that a secret.
var errPatch = errors.New("git printed something that is no patch")

// isExtendedHeader recognises the lines between "diff --git" and the names, as git's documentation lists them.
func isExtendedHeader(line string) bool {
	for _, start := range []string{
		"old mode ", "new mode ", "deleted file mode ", "new file mode ", "copy from ", "copy to ", "rename from ", "rename to ",
		"similarity index ", "dissimilarity index ", "index ",
	} {
		if strings.HasPrefix(line, start) {
			return true
		}
	}
	return false
}

// readHunk reads the lines of a hunk, and keeps the added ones and where they begin.
func readHunk(lines *bufio.Reader, header string, into *addition) error {
	removed, _, err := span(header, '-')
	if err != nil {
		return err
	}
	added, first, err := span(header, '+')
	if err != nil {
		return err
	}
	var text strings.Builder
	for range removed {
		if _, err := hunkLine(lines, '-'); err != nil {
			return err
		}
	}
	for range added {
		line, err := hunkLine(lines, '+')
		if err != nil {
			return err
		}
		text.WriteString(line)
		text.WriteByte('\n')
	}
	into.line, into.text = first, text.String()
	return nil
}

// hunkLine returns the next line of a hunk without its sign. That a file does not end in a newline is said in between.
func hunkLine(lines *bufio.Reader, sign byte) (string, error) {
	line, err := nextLine(lines)
	if err == nil && strings.HasPrefix(line, `\ `) {
		line, err = nextLine(lines)
	}
	switch {
	case errors.Is(err, io.EOF):
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	case line == "" || line[0] != sign:
		return "", errPatch
	default:
		return line[1:], nil
	}
}

// span reads "+12,3" or "+12" out of "@@ -10 +12,3 @@ func": how many lines from which one on.
func span(header string, sign byte) (count, first int, err error) {
	fields := strings.Fields(header)
	for _, field := range fields[1:min(len(fields), 3)] {
		if field[0] != sign {
			continue
		}
		from, length, hasLength := strings.Cut(field[1:], ",")
		if first, err = strconv.Atoi(from); err == nil && hasLength {
			count, err = strconv.Atoi(length)
		} else if err == nil {
			count = 1
		}
		if err == nil && count >= 0 {
			return count, first, nil
		}
	}
	return 0, 0, errPatch
}

// patchedFile reads the name out of "+++ b/src/a.ts"; "" when the commit deletes the file. Names with odd characters are
// quoted like strings in C, which Go's quoting reads too.
func patchedFile(line string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(line, "+++ "), "\t")
	if name == "/dev/null" {
		return "", nil
	}
	if strings.HasPrefix(name, `"`) {
		unquoted, err := strconv.Unquote(name)
		if err != nil {
			return "", errPatch
		}
		name = unquoted
	}
	file, ok := strings.CutPrefix(name, "b/")
	if !ok {
		return "", errPatch
	}
	return file, nil
}

func nextLine(lines *bufio.Reader) (string, error) {
	line, err := lines.ReadString('\n')
	if err != nil && !(errors.Is(err, io.EOF) && line != "") {
		return "", err
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// shortCommit is a commit's hash as people quote it.
func shortCommit(commit string) string { return commit[:min(len(commit), 10)] }
