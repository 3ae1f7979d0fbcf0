package snapshot

import (
	"io/fs"
	"path"
	"strings"
)

// LeadingOut returns a link of the source by which the contents of the folder ("." for all) would come from outside of the
// source, and where it leads; "" when there is none. Links that lead to another place in the source are followed.
//
// It looks at names alone and at nothing on this machine, where the link may lead to a secret.
func (s *Snapshot) LeadingOut(folder string) (link, target string) {
	seen := map[string]bool{}
	queue := []string{path.Clean(folder)}
	for len(queue) > 0 {
		place := queue[0]
		queue = queue[1:]
		if seen[place] {
			continue
		}
		seen[place] = true
		for _, file := range s.Files {
			if file.Mode&fs.ModeSymlink == 0 || !(holds(place, file.Path) || holds(file.Path, place)) {
				continue
			}
			led := path.Join(path.Dir(file.Path), file.Target)
			if path.IsAbs(file.Target) || led == ".." || strings.HasPrefix(led, "../") {
				return file.Path, file.Target
			}
			if holds(file.Path, place) { // the link is on the way to the place
				led = path.Join(led, strings.TrimPrefix(place, file.Path))
			}
			queue = append(queue, led)
		}
	}
	return "", ""
}

// holds reports whether a path is the folder or lies in it.
func holds(folder, inner string) bool {
	return folder == "." || inner == folder || strings.HasPrefix(inner, folder+"/")
}
