package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/localcloud/faults"
)

func newLocal(shared *common) *cobra.Command {
	command := &cobra.Command{
		Use:     "local",
		Short:   "Start, stop and look at the Cloudflare on this machine",
		Example: "  penstock local status\n  penstock local down",
	}
	command.AddCommand(newLocalUp(shared), newLocalDown(shared), newLocalStatus(shared), newLocalFaults(shared), newLocalServe(shared))
	return command
}

// localDir is where the local Cloudflare keeps its data.
func (s *Streams) localDir() (string, error) {
	state, err := s.stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "local"), nil
}

func newLocalUp(shared *common) *cobra.Command {
	var faultsFile string
	command := &cobra.Command{
		Use:     "up",
		Short:   "Start the local Cloudflare and keep it running",
		Example: "  penstock local up\n  penstock local up --faults faults.yaml   # rehearse a bad day",
		RunE: func(command *cobra.Command, _ []string) error {
			folder, err := shared.appFolder()
			if err != nil {
				return err
			}
			if faultsFile != "" {
				if _, err := faults.Read(faultsFile); err != nil {
					return fail(ExitUsage, "docs/local.md shows what a file of faults can say", err)
				}
			}
			handle, err := shared.streams.startLocalCloud(command.Context(), filepath.Join(folder, "node_modules"))
			if err != nil {
				return err
			}
			if faultsFile != "" {
				err = shared.setFaults(command.Context(), faultsFile)
			}
			if err == nil {
				err = handle.Keep(command.Context())
			}
			if err != nil {
				return errors.Join(err, handle.Close(command.Context()))
			}
			return shared.showLocal(handle.Info)
		},
	}
	command.Flags().StringVar(&faultsFile, "faults", "", "a `file` that says what goes wrong on purpose; replaces earlier faults")
	return command
}

func (c *common) setFaults(ctx context.Context, file string) error {
	dir, err := c.streams.localDir()
	if err != nil {
		return err
	}
	_, err = daemon.SetFaults(ctx, dir, file)
	return err
}

// newLocalFaults shows, replaces and ends the faults of a Cloudflare that runs.
func newLocalFaults(shared *common) *cobra.Command {
	var off bool
	command := &cobra.Command{
		Use:     "faults [FILE]",
		Short:   "Show what goes wrong on purpose, replace it by a file, or end it",
		Example: "  penstock local faults\n  penstock local faults faults.yaml\n  penstock local faults --off",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			dir, err := shared.streams.localDir()
			if err != nil {
				return err
			}
			var said daemon.Faults
			switch {
			case off && len(args) > 0:
				return fail(ExitUsage, "give a file, or --off", errors.New("a file of faults together with --off"))
			case off:
				said, err = daemon.SetFaults(command.Context(), dir, "")
			case len(args) > 0:
				if _, err := faults.Read(args[0]); err != nil {
					return fail(ExitUsage, "docs/local.md shows what a file of faults can say", err)
				}
				said, err = daemon.SetFaults(command.Context(), dir, args[0])
			default:
				said, err = daemon.ShowFaults(command.Context(), dir)
			}
			if errors.Is(err, daemon.ErrNotRunning) {
				return fail(ExitUsage, "start it with `penstock local up`", err)
			}
			if err != nil {
				return err
			}
			return shared.showFaults(said)
		},
	}
	command.Flags().BoolVar(&off, "off", false, "end all faults")
	return command
}

func (c *common) showFaults(said daemon.Faults) error {
	if c.json {
		return printJSON(c.streams.Out, said)
	}
	out := tabwriter.NewWriter(c.streams.Out, 0, 4, 2, ' ', 0)
	for _, rule := range said.Calls {
		what := strings.TrimSpace(strings.Join([]string{rule.Delay, zeroAsEmpty(rule.Status), rule.Lost}, " "))
		fmt.Fprintf(out, "%s\t%s\tstruck %d of %d calls\n", rule.Call, what, rule.Struck, rule.Matched)
	}
	if delay := said.Propagation["delay"]; delay != "" && delay != "0s" {
		fmt.Fprintf(out, "deployments\treach the edge after %s\n", delay)
	}
	if said.Certificates.Delay != "" && said.Certificates.Delay != "0s" {
		fmt.Fprintf(out, "certificates\tare active after %s\n", said.Certificates.Delay)
	}
	if said.Certificates.ValidityDays != 0 {
		fmt.Fprintf(out, "certificates\tare good for %d days\n", said.Certificates.ValidityDays)
	}
	if said.Certificates.Refuse != "" {
		fmt.Fprintf(out, "certificates\tare refused: %s\n", said.Certificates.Refuse)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(said.Calls) == 0 {
		fmt.Fprintln(c.streams.Out, "no faults of calls")
	}
	return nil
}

func zeroAsEmpty(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func newLocalDown(shared *common) *cobra.Command {
	return &cobra.Command{
		Use:     "down",
		Short:   "Stop the local Cloudflare; its data stays for the next start",
		Example: "  penstock local down",
		RunE: func(command *cobra.Command, _ []string) error {
			dir, err := shared.streams.localDir()
			if err != nil {
				return err
			}
			stopped := true
			if err := daemon.Down(command.Context(), dir); errors.Is(err, daemon.ErrNotRunning) {
				stopped = false
			} else if err != nil {
				return err
			}
			if shared.json {
				return printJSON(shared.streams.Out, localStopped{stopped})
			}
			if stopped {
				fmt.Fprintln(shared.streams.Out, "stopped; `penstock local up` brings it back with its data")
			} else {
				fmt.Fprintln(shared.streams.Out, "it was not running")
			}
			return nil
		},
	}
}

func newLocalStatus(shared *common) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show whether it runs, its addresses and its Workers",
		Example: "  penstock local status --json",
		RunE: func(command *cobra.Command, _ []string) error {
			dir, err := shared.streams.localDir()
			if err != nil {
				return err
			}
			info, err := daemon.Status(command.Context(), dir)
			if errors.Is(err, daemon.ErrNotRunning) {
				if shared.json {
					return printJSON(shared.streams.Out, localStatus{})
				}
				fmt.Fprintln(shared.streams.Out, "not running; `penstock local up` or `penstock deploy --env local` starts it")
				return nil
			}
			if err != nil {
				return err
			}
			return shared.showLocal(info)
		},
	}
}

// localStatus is the local Cloudflare as --json prints it.
type localStatus struct {
	Running bool   `json:"running"`
	EnvFile string `json:"envFile,omitempty"` // for wrangler; the token is in it only, because a status is pasted into chats
	APIURL  string `json:"apiUrl,omitempty"`
	Account string `json:"accountId,omitempty"`
	EdgeURL string `json:"edgeUrl,omitempty"`
	EdgeTLS string `json:"edgeTlsUrl,omitempty"`
	CAFile  string `json:"caFile,omitempty"`
	PID     int    `json:"pid,omitempty"`

	Scripts []localcloud.ScriptInfo `json:"scripts,omitempty"`
}

// localStopped is what `local down` did, for programs.
type localStopped struct {
	Stopped bool `json:"stopped"` // false when it did not run
}

// wranglerEnv is the file in the local state folder that points wrangler to the local Cloudflare.
const wranglerEnv = "wrangler.env"

// showLocal writes the environment file for wrangler and tells where everything is. The token is in that file only.
func (c *common) showLocal(info localcloud.Info) error {
	dir, err := c.streams.localDir()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, wranglerEnv)
	if err := os.WriteFile(file, []byte(info.EnvFile()), 0o600); err != nil {
		return fmt.Errorf("write the environment file for wrangler: %w", err)
	}
	if c.json {
		return printJSON(c.streams.Out, localStatus{
			Running: true, EnvFile: file, APIURL: info.APIURL, Account: info.AccountID, EdgeURL: info.EdgeURL, EdgeTLS: info.EdgeTLSURL,
			CAFile: info.CAFile, PID: info.PID, Scripts: info.Scripts,
		})
	}
	out := tabwriter.NewWriter(c.streams.Out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(out, "running\tprocess %d\n", info.PID)
	fmt.Fprintf(out, "api\t%s\n", info.APIURL)
	fmt.Fprintf(out, "edge\t%s and %s, by host name\n", info.EdgeURL, info.EdgeTLSURL)
	fmt.Fprintf(out, "its CA\t%s\n", info.CAFile)
	for _, script := range info.Scripts {
		fmt.Fprintf(out, "worker\t%s\t%s\n", script.Name, script.URL)
	}
	fmt.Fprintf(out, "for wrangler\tset -a; . %s; set +a\n", file)
	fmt.Fprintf(out, "stop it\tpenstock local down\n")
	return out.Flush()
}

// newLocalServe is what runs in the background; people use `up`.
func newLocalServe(shared *common) *cobra.Command {
	var dir, workerd string
	command := &cobra.Command{
		Use:    "serve",
		Hidden: true,
		RunE: func(command *cobra.Command, _ []string) error {
			err := daemon.Serve(command.Context(), daemon.ServeOptions{
				Dir: dir, Workerd: workerd, Lease: shared.streams.In, Report: shared.streams.Out,
				Log: slog.New(slog.NewTextHandler(shared.streams.Err, nil)),
			})
			if err != nil {
				return &toldError{code: ExitInternal} // the report told the parent
			}
			return nil
		},
	}
	command.Flags().StringVar(&dir, "dir", "", "state folder")
	command.Flags().StringVar(&workerd, "workerd", "", "workerd binary")
	return command
}

// keepWorkerd copies the workerd binary into the state folder, so that the local Cloudflare can start again after the
// packages that brought it are gone. A copy that is there, of the same version and size, is kept.
func keepWorkerd(from, dir string) (string, error) {
	info, err := os.Stat(from)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, fmt.Sprintf("workerd-%s-%x", packageVersion(filepath.Dir(filepath.Dir(from))), info.Size()))
	if have, err := os.Stat(to); err == nil && have.Size() == info.Size() {
		return to, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	source, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer source.Close()
	scratch, err := os.CreateTemp(dir, ".workerd-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(scratch.Name())
	_, err = io.Copy(scratch, source)
	if err = errors.Join(err, scratch.Chmod(0o700), scratch.Close()); err != nil {
		return "", err
	}
	return to, os.Rename(scratch.Name(), to)
}

// packageVersion is what the package.json in folder says, "unknown" when it says nothing.
func packageVersion(folder string) string {
	var manifest struct {
		Version string `json:"version"`
	}
	text, err := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil || json.Unmarshal(text, &manifest) != nil || !filepath.IsLocal(manifest.Version) {
		return "unknown"
	}
	return manifest.Version
}
