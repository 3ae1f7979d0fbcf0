package snapshot

import (
	"io/fs"
	"path"
	"strings"
)

// maxHops is how many links there may be on the way to one name before the system takes them for a circle (ELOOP; Linux follows
// 40, others fewer).
const maxHops = 40

// LeadingOut returns a link of the source by which the contents of the folder ("." for all) would come from outside of the
// source, and where it leads; "" when there is none. Links that lead to another place in the source are followed.
//
// It looks at names alone and at nothing on this machine, where the link may lead to a secret.
func (s *Snapshot) LeadingOut(folder string) (link, target string) {
	type stop struct {
		place string
		hops  int // links on the way that were followed to get to this name
	}
	fewest := map[string]int{} // with which a place was looked at
	queue := []stop{{place: path.Clean(folder)}}
	for len(queue) > 0 {
		place, hops := queue[0].place, queue[0].hops
		queue = queue[1:]
		if before, seen := fewest[place]; hops > maxHops || seen && before <= hops {
			continue
		}
		fewest[place] = hops
		for _, file := range s.Files {
			if file.Mode&fs.ModeSymlink == 0 || !(holds(place, file.Path) || holds(file.Path, place)) {
				continue
			}
			led := path.Join(path.Dir(file.Path), file.Target)
			if path.IsAbs(file.Target) || led == ".." || strings.HasPrefix(led, "../") {
				return file.Path, file.Target
			}
			next := stop{place: led}
			if holds(file.Path, place) { // the link is on the way to the place
				next = stop{path.Join(led, strings.TrimPrefix(place, file.Path)), hops + 1}
			}
			queue = append(queue, next)
		}
	}
	return "", ""
}

// holds reports whether a path is the folder or lies in it.
func holds(folder, inner string) bool {
	return folder == "." || inner == folder || strings.HasPrefix(inner, folder+"/")
}
