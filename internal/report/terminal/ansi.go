package terminal

import "regexp"

// ansi matches the escape sequences that tools write (ECMA-48 CSI and OSC). A stage's output is never allowed to move the
// cursor of the terminal on which the tree is drawn.
var ansi = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[@-_]")
