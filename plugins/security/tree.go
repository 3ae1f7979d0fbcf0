package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
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
	binaries int      // not looked into
	tooLarge []string // not looked into either
	commits  int
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
	return inPieces(text, func(piece string, firstLine int) error {
		leaks, err := rules.scan(ctx, name, piece, firstLine)
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
