package host

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const block = 512 // what st_blocks counts: stat(2)

func diskSize(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * block
	}
	return info.Size()
}

// takenBy counts a process and its descendants, most+1 of them at the most. In a process namespace none gets away: whose
// parent ends becomes a child of the set itself.
func takenBy(pid, most int) taken {
	var sum taken
	for queue := []int{pid}; len(queue) > 0 && sum.processes <= most; sum.processes++ {
		pid, queue = queue[0], queue[1:]
		folder := fmt.Sprintf("/proc/%d", pid)
		sum.memory += ownMemory(folder)
		sum.unlinked += unlinked(folder)
		threads, _ := filepath.Glob(folder + "/task/*/children")
		for _, thread := range threads {
			text, _ := os.ReadFile(thread) // one that has ended meanwhile has none
			for _, child := range strings.Fields(string(text)) {
				if id, err := strconv.Atoi(child); err == nil {
					queue = append(queue, id)
				}
			}
		}
	}
	return sum
}

// ownMemory is what a process has in memory and shares with no file (proc(5), statm), in bytes.
func ownMemory(folder string) int64 {
	text, err := os.ReadFile(folder + "/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}

// unlinked is what a process holds on disk in files without a name.
func unlinked(folder string) int64 {
	entries, err := os.ReadDir(folder + "/fd")
	if err != nil {
		return 0
	}
	var size int64
	for _, entry := range entries {
		var info syscall.Stat_t
		if syscall.Stat(folder+"/fd/"+entry.Name(), &info) == nil && info.Nlink == 0 && info.Mode&syscall.S_IFMT == syscall.S_IFREG {
			size += info.Blocks * block
		}
	}
	return size
}
