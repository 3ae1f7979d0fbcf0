//go:build unix

package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// listen makes the socket on which a set is asked, and what the set is to find in its environment. The set inherits it, so that
// it need make none: one that may make no local socket can reach no service of this machine by the name of its socket file.
func listen(own folder) (socket *os.File, environment []string, err error) {
	path := filepath.Join(own.sockets, "gates")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, fmt.Errorf("make its socket: %w", err)
	}
	listener.SetUnlinkOnClose(false) // its folder is removed
	socket, err = listener.File()
	if err = errors.Join(err, listener.Close()); err != nil {
		return nil, nil, fmt.Errorf("make its socket: %w", err)
	}
	// What languages but Go expect of a socket that they did not make.
	if err := syscall.SetNonblock(int(socket.Fd()), false); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("make its socket: %w", err), socket.Close())
	}
	return socket, []string{wire.SetSocket + "=" + path}, nil
}
