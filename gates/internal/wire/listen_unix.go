//go:build unix

package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Listen returns the socket that the host made for this set, and the line by which the set says that it is asked there.
func Listen(getenv func(string) string) (listener net.Listener, handshake string, err error) {
	path := getenv(SetSocket)
	if path == "" {
		return nil, "", fmt.Errorf("the host gave no socket in %s: this penstock is too old, or none", SetSocket)
	}
	inherited := os.NewFile(ListenerDescriptor, path)
	listener, err = net.FileListener(inherited)
	if err = errors.Join(err, inherited.Close()); err != nil {
		return nil, "", fmt.Errorf("listen on the host's socket: %w", err)
	}
	return listener, handshakeLine("unix", path), nil
}
