package runtime

import "errors"

// FindWorkerd returns the path of a workerd binary that answered to --version: $PENSTOCK_WORKERD if set, otherwise the one
// that an npm install left in node_modules of one of the folders or of their parents (wrangler depends on it). The error
// says how to get one.
func FindWorkerd(folders ...string) (string, error) {
	return "", errors.New("not implemented yet")
}
