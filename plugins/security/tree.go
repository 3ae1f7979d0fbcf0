package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	"golang.org/x/sync/errgroup"
)

// searched is what was looked at and what was found in it.
type searched struct {
	mu       sync.Mutex
	leaks    []leak
	files    int      // with text in them
	binaries int      // not looked into; of the history once for each commit that changed one
	tooLarge []string // not looked into either
	commits  int

	known   map[[sha256.Size]byte]func() ([]leak, error) // what was found in long pieces, by file and text; lines count from 1
	scanned int                                          // pieces that were looked through
}

// worthKnowing is from how many bytes on it is remembered what a piece holds: a generated file of half a megabyte, which is in
// the tree and in the commit that brought it, takes seconds; short pieces are as quickly looked through again.
const worthKnowing = 4 << 10

// scan returns what a piece of a file holds, and looks through the same piece of the same file once.
func (s *searched) scan(ctx context.Context, rules *scanner, file, piece string, firstLine int) ([]leak, error) {
	look := func() ([]leak, error) { return rules.scan(ctx, file, piece, 1) }
	s.mu.Lock()
	before := look
	if len(piece) >= worthKnowing {
		key := sha256.Sum256([]byte(file + "\x00" + piece))
		if before = s.known[key]; before == nil {
			if s.known == nil {
				s.known = map[[sha256.Size]byte]func() ([]leak, error){}
			}
			before = sync.OnceValues(look)
			s.known[key] = before
			s.scanned++
		}
	} else {
		s.scanned++
	}
	s.mu.Unlock()
	leaks, err := before()
	leaks = slices.Clone(leaks)
	for i := range leaks {
		leaks[i].line += firstLine - 1
	}
	return leaks, err
}

func (s *searched) add(leaks []leak) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaks = append(s.leaks, leaks...)
}

// maxSearched bounds what is read of one file, and with it the memory of a search.
const maxSearched = 64 << 20

// searchTree looks for credentials in every file of a folder but packages and git's own.
func searchTree(ctx context.Context, rules *scanner, root string, into *searched) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !entry.Type().IsRegular():
			return nil // what a link leads to is either in the tree too, or none of it
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		group.Go(func() error { return searchFile(ctx, rules, path, filepath.ToSlash(name), into) })
		return nil
	})
	if err := errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("look through the source: %w", err)
	}
	return nil
}

func searchFile(ctx context.Context, rules *scanner, path, name string, into *searched) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > maxSearched {
		into.mu.Lock()
		into.tooLarge = append(into.tooLarge, name)
		into.mu.Unlock()
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, isText := textOf(content)
	into.mu.Lock()
	if isText {
		into.files++
	} else {
		into.binaries++
	}
	into.mu.Unlock()
	if !isText {
		return nil
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n" // so that it is what the patch that added it shows
	}
	return inPieces(text, func(piece string, firstLine int) error {
		leaks, err := into.scan(ctx, rules, name, piece, firstLine)
		into.add(leaks)
		return err
	})
}

// textOf returns a file's content as UTF-8, and false for what is no text: by git's own rule, a NUL among its first bytes.
// UTF-16 is full of those and is text: PowerShell writes it when a file is made by redirection.
func textOf(content []byte) (string, bool) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		const looked = 8000
		return string(content), !bytes.Contains(content[:min(len(content), looked)], []byte{0})
	}
	units := make([]uint16, 0, len(content)/2)
	for rest := content[2:]; len(rest) >= 2; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return string(utf16.Decode(units)), true
}

// The size of a piece bounds the memory that matching takes; the overlap is longer than the longest secret, a private key.
const (
	pieceSize    = 1 << 20
	pieceOverlap = 16 << 10
)

// inPieces hands out a text piece by piece, each beginning at the start of a line unless lines are longer than pieces.
func inPieces(text string, each func(piece string, firstLine int) error) error {
	line := 1
	for {
		if len(text) <= pieceSize {
			return each(text, line)
		}
		if err := each(text[:pieceSize], line); err != nil {
			return err
		}
		next := pieceSize - pieceOverlap
		if lineEnd := strings.LastIndexByte(text[:next], '\n'); lineEnd >= 0 {
			next = lineEnd + 1
		}
		line += strings.Count(text[:next], "\n")
		text = text[next:]
	}
}
