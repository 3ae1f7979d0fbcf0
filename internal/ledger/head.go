package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

// Head is the end of a chain: how many events there are, and the hash of the last. Keep one elsewhere to be able to show
// later that nothing before it was changed. The zero Head is that of an empty ledger.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"` // hex SHA-256
}

// headWidth is the size of the head file. A fixed width lets each head be written over the last in one small write, which
// no reader sees half done.
const headWidth = 128

func headPath(path string) string { return path + ".head" }

// writeHead keeps the head in a second place. It is written after the commit and not synced: after a power cut it may name
// an earlier event of the same chain, which proves less but nothing wrong.
func writeHead(path string, head Head, flags int) error {
	data, err := json.Marshal(head)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%-*s\n", headWidth-1, data)
	file, err := os.OpenFile(headPath(path), os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte(line), 0); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

func readHead(path string) (Head, error) {
	data, err := os.ReadFile(headPath(path))
	if err != nil {
		return Head{}, err
	}
	var head Head
	if err := json.Unmarshal(data, &head); err != nil {
		return Head{}, fmt.Errorf("read %s: %w", headPath(path), err)
	}
	if _, err := hex.DecodeString(head.Hash); err != nil {
		return Head{}, fmt.Errorf("read %s: hash: %w", headPath(path), err)
	}
	return head, nil
}
