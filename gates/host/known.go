package host

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// known keeps what sets said of themselves, by the checksum of their binary: the same binary says the same, so a run need
// not start a set only to ask it what its gates need. Every process that is started is asked all the same, before it is
// asked anything else, and one that says another thing is not believed; so what is kept decides nothing by itself.
//
// It is a folder of small files. Whatever cannot be read or written there is as if it were not known.
type known struct{ folder string }

// mostKnown bounds the folder; the oldest go.
const mostKnown = 200

func (k known) file(digest string) string {
	return filepath.Join(k.folder, strings.TrimPrefix(digest, "sha256:")+"-"+gates.SDKVersion)
}

// recall returns what the binary said, checked as if it said it now; nil when it is not known.
func (k known) recall(ref PluginRef, digest string) *SetInfo {
	if k.folder == "" {
		return nil
	}
	text, err := os.ReadFile(k.file(digest))
	if err != nil {
		return nil
	}
	var message wire.DescribeResponse
	if proto.Unmarshal(text, &message) != nil {
		return nil
	}
	info, err := infoFromWire(&message, ref)
	if err != nil {
		return nil
	}
	info.Digest = digest
	return info
}

// remember keeps what a binary said.
func (k known) remember(digest string, message *wire.DescribeResponse) {
	if k.folder == "" {
		return
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil || os.MkdirAll(k.folder, 0o700) != nil {
		return
	}
	temporary, err := os.CreateTemp(k.folder, ".writing-")
	if err != nil {
		return
	}
	_, err = temporary.Write(text)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), k.file(digest))
	}
	if err != nil {
		_ = os.Remove(temporary.Name()) // nothing is known then, which costs a start
		return
	}
	k.prune()
}

func (k known) forget(digest string) {
	if k.folder != "" {
		_ = os.Remove(k.file(digest)) // one that stays is found wrong again
	}
}

func (k known) prune() {
	entries, err := os.ReadDir(k.folder)
	if err != nil || len(entries) <= mostKnown {
		return
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return cmp.Compare(a.ModTime().UnixNano(), b.ModTime().UnixNano()) })
	for _, file := range files[:max(0, len(files)-mostKnown)] {
		_ = os.Remove(filepath.Join(k.folder, file.Name()))
	}
}
