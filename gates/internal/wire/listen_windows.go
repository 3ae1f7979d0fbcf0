package wire

import (
	"fmt"
	"net"
)

// Listen listens on a port of the loopback address, and returns the line by which the set says that it is asked there.
func Listen(func(string) string) (listener net.Listener, handshake string, err error) {
	listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen for the host: %w", err)
	}
	return listener, handshakeLine("tcp", listener.Addr().String()), nil
}
