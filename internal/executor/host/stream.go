package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// stream is one of a stage's two outputs. Builtins of the shell write to it directly; once a program was started there is
// a pipe, of which every program of the stage gets the same end, and builtins write into it too, so that the order stays.
//
// A pipe of our own, rather than one for each program, has its end when the last descendant closed it. That tells of
// processes that outlive the stage, and a program is done when it ends, whoever else holds its output.
type stream struct {
	sink io.WriteCloser

	mu      sync.Mutex
	in, out *os.File
	done    chan struct{} // closed when the pipe's end was read
	closed  bool
}

// Write is for the shell itself.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(p), nil // from a background shell that outlived the script
	}
	if s.in != nil {
		return s.in.Write(p)
	}
	return s.sink.Write(p)
}

// file is what a program gets as its output.
func (s *stream) file() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errFamilyClosed
	}
	if s.in != nil {
		return s.in, nil
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for a stage's output: %w", err)
	}
	s.out, s.in, s.done = out, in, make(chan struct{})
	go func() {
		defer close(s.done)
		buffer := make([]byte, 32<<10)
		// A full disk under the log must not stop the program that writes; the log says that it is cut.
		_, err := io.CopyBuffer(s.sink, onlyReader{out}, buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) { // close does not wait any more: what was said before that counts all the same
			_, _ = io.CopyBuffer(s.sink, io.LimitReader(inPipe{out}, pipeSize), buffer)
		}
	}()
	return in, nil
}

// pipeSize is more than a pipe holds: Linux makes them of 64 KiB, and no larger than 1 MiB for anybody who asks.
const pipeSize = 1 << 20

// inPipe reads what is in a pipe, whoever else holds it, and then ends.
type inPipe struct{ *os.File }

func (p inPipe) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		return 0, err
	}
	return p.File.Read(b)
}

// onlyReader hides what else a file can do, so that the buffer is used.
type onlyReader struct{ io.Reader }

// hangUp takes nothing more from the shell, closes our end, and reports whether everybody else closed theirs within the time.
func (s *stream) hangUp(within time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.done == nil {
		return true
	}
	if s.in != nil {
		_ = s.in.Close()
		s.in = nil
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-s.done:
		return true
	case <-timer.C:
		return false
	}
}

// close ends the stream, whoever still holds it, and passes on what was held back.
func (s *stream) close() error {
	if s.done != nil {
		_ = s.out.SetReadDeadline(time.Now())
		<-s.done
		_ = s.out.Close()
	}
	return s.sink.Close()
}
