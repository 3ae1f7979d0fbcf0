package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	pluginrunner "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/internal/wire"
)

// process is one running set.
type process struct {
	set     string
	info    *SetInfo // what it says of itself
	gates   wire.GateSetClient
	client  *plugin.Client
	runner  *runner
	output  *output
	folder  folder
	inputs  *inputs
	waiting int // gates that wait for an answer; guarded by the set's turn
}

// launch starts the verified binary, confined to granted, and shakes hands with it. When it returns an error nothing is
// left running.
func launch(ctx context.Context, name string, binary *image, scratch string, granted grant, limits Limits) (*process, error) {
	folder, err := makeFolder(scratch, name)
	if err != nil {
		return nil, err
	}
	running := &process{set: name, output: newOutput(limits.Output), folder: folder, inputs: newInputs(folder.in)}
	running.runner = newRunner(binary, folder, granted, limits, running.output)
	config, err := running.clientConfig(limits)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the gate set %s: %w", name, err), folder.remove())
	}
	running.client = plugin.NewClient(config)
	// go-plugin's Start, Client and Kill take no context and have waits without an end, so they run beside us, and the
	// process is killed when time is up: that ends every one of those waits.
	connected := make(chan struct{})
	var connectErr error
	go func() {
		defer close(connected)
		connectErr = running.connect()
	}()
	select {
	case <-connected:
		err = connectErr
	case <-ctx.Done():
		running.kill()
		<-connected // what a killed process made of it says less than the following
		err = fmt.Errorf("it did not start in time: %w", ctx.Err())
	}
	if err == nil {
		return running, nil
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.Stop)
	defer cancel()
	stopErr := running.stop(stopCtx) // first, because only then all is there that it printed
	return nil, errors.Join(running.blame(fmt.Errorf("start the gate set %s: %w", name, err)), stopErr)
}

// clientConfig is how go-plugin is to start the process. Its AutoMTLS is off because the certificates of both sides are made
// here, with P-256: the P-521 of go-plugin took most of the time of a start.
func (p *process) clientConfig(limits Limits) (*plugin.ClientConfig, error) {
	secured, identities, err := wire.HostTLS()
	if err != nil {
		return nil, err
	}
	return &plugin.ClientConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: plugins(),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		TLSConfig:        secured,
		SkipHostEnv:      true,
		StartTimeout:     2 * limits.Start, // ours strikes first, and says it better
		Stderr:           p.output,
		SyncStdout:       p.output,
		SyncStderr:       p.output,
		Logger:           hclog.NewNullLogger(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.folder.sockets},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
			grpc.WithMaxHeaderListSize(64 << 10),
			grpc.WithChainStreamInterceptor(withoutBroker),
		},
		RunnerFunc: func(_ hclog.Logger, command *exec.Cmd, _ string) (pluginrunner.Runner, error) {
			p.runner.environment = append(command.Env, identities...)
			return p.runner, nil
		},
	}, nil
}

func (p *process) connect() error {
	if _, err := p.client.Start(); err != nil {
		return p.runner.explain(err)
	}
	protocol, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("connect to it: %w", err)
	}
	served, err := protocol.Dispense(dispensed)
	if err != nil {
		return fmt.Errorf("connect to it: %w", err)
	}
	p.gates = served.(wire.GateSetClient)
	return nil
}

// describe asks the set what it is and refuses what does not hold together.
func (p *process) describe(ctx context.Context, ref PluginRef) (*wire.DescribeResponse, *SetInfo, error) {
	answer, err := p.gates.Describe(ctx, &wire.DescribeRequest{HostVersion: gates.SDKVersion})
	switch {
	case status.Code(err) == codes.FailedPrecondition:
		return nil, nil, fmt.Errorf("%w: %s", ErrIncompatible, line(status.Convert(err).Message(), maxSummary))
	case err != nil:
		return nil, nil, p.blame(fmt.Errorf("ask the gate set %s what it is: %w", p.set, p.lost(ctx, err)))
	}
	info, err := infoFromWire(answer, ref)
	return answer, info, err
}

// blame adds what a process printed last to an error that it caused.
func (p *process) blame(err error) error { return &blamed{cause: err, output: p.output.String()} }

// blamed is an error that a set's process caused.
type blamed struct {
	cause  error
	output string // what it printed last
}

func (b *blamed) Error() string   { return b.cause.Error() }
func (b *blamed) Unwrap() []error { return []error{b.cause, ErrMisbehaved} }

func (p *process) hasExited() bool { return p.runner.hasExited() }

// kill ends the process and everything that it started, at once: a set keeps nothing between questions, so there is
// nothing that it could still have to write.
func (p *process) kill() { p.runner.killTree() }

// stop kills the process, waits until it is gone and removes its folders. It is safe to call twice.
func (p *process) stop(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.kill()
		p.client.Kill()
	}()
	select {
	case <-done:
		return p.folder.remove()
	case <-ctx.Done():
		return fmt.Errorf("stop the gate set %s: it is still there: %w", p.set, ctx.Err())
	}
}

// folder is where one process lives: nothing in it is kept.
type folder struct {
	root    string
	in      string // copies of what it may read
	work    string // its working directory, empty at the start
	scratch string // its TMPDIR
	sockets string // where it listens
}

// maxSocketFolder leaves room for the two names that go-plugin adds within the 104 bytes that macOS has for the path of a
// socket; Linux has 108.
const maxSocketFolder = 60

func makeFolder(scratch, set string) (folder, error) {
	root, err := os.MkdirTemp(scratch, set+"-")
	if err != nil {
		return folder{}, fmt.Errorf("make a folder for the gate set %s: %w", set, err)
	}
	made := folder{
		root: root, in: filepath.Join(root, "in"), work: filepath.Join(root, "work"),
		scratch: filepath.Join(root, "tmp"), sockets: filepath.Join(root, "s"),
	}
	for _, dir := range []string{made.in, made.work, made.scratch, made.sockets} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return folder{}, errors.Join(fmt.Errorf("make a folder for the gate set %s: %w", set, err), os.RemoveAll(root))
		}
	}
	if len(made.sockets) > maxSocketFolder {
		if made.sockets, err = os.MkdirTemp("", "pgs"); err != nil {
			return folder{}, errors.Join(fmt.Errorf("make a folder for the gate set %s: %w", set, err), os.RemoveAll(root))
		}
	}
	return made, nil
}

func (f folder) remove() error {
	err := removeAll(f.root)
	if !strings.HasPrefix(f.sockets, f.root) {
		err = errors.Join(err, removeAll(f.sockets))
	}
	return err
}

// removeAll is os.RemoveAll also where a set made folders into which nobody may look.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	// What stays shut is told by the second attempt.
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
