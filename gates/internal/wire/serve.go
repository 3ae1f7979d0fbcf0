package wire

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Serve shakes hands with the host that started this process and answers it until it ends the process. It returns only
// when that cannot be done.
func Serve(gates GateSetServer) error {
	secured, err := setTLS(os.Getenv(ClientCertificate))
	if err != nil {
		return err
	}
	listener, err := listen()
	if err != nil {
		return fmt.Errorf("listen for the host: %w", err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(secured)), grpc.MaxRecvMsgSize(MaxMessageBytes), grpc.MaxSendMsgSize(MaxMessageBytes))
	RegisterGateSetServer(server, gates)
	// An interrupt is the host's to judge: it ends its sets when their answers are no longer wanted.
	signal.Ignore(os.Interrupt)
	_, err = fmt.Printf("1|%d|%s|%s|grpc|%s\n", ProtocolVersion, listener.Addr().Network(), listener.Addr(),
		base64.RawStdEncoding.EncodeToString(secured.Certificates[0].Certificate[0]))
	if err != nil {
		return fmt.Errorf("tell the host where to ask: %w", err)
	}
	return server.Serve(listener)
}

// listen opens the socket where the host wants it.
func listen() (net.Listener, error) {
	if runtime.GOOS != "windows" {
		return net.Listen("unix", filepath.Join(os.Getenv(SocketFolder), "gates"))
	}
	least, err := strconv.Atoi(os.Getenv(LeastPort))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", LeastPort, err)
	}
	last, err := strconv.Atoi(os.Getenv(LastPort))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", LastPort, err)
	}
	for port := least; port <= last; port++ {
		if listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return listener, nil
		}
	}
	return nil, fmt.Errorf("no port from %d to %d is free", least, last)
}
