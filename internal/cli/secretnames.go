package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/redact"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
)

// secretsCommand is how a run that puts a secret is recorded; the version that is live then is known by it.
const secretsCommand = "secrets"

func newSecrets(shared *common) *cobra.Command {
	command := &cobra.Command{
		Use:     secretsCommand,
		Short:   "List an environment's secrets by name, and put one",
		Example: "  penstock secrets list --env production\n  pass show jwt | penstock secrets put JWT_SECRET --env production",
	}
	command.AddCommand(newSecretsList(shared), newSecretsPut(shared))
	return command
}

func newSecretsList(shared *common) *cobra.Command {
	var environment string
	command := &cobra.Command{
		Use:     "list",
		Short:   "List names, and which of them the environment lacks; values can be read nowhere",
		Example: "  penstock secrets list --env production --json",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			names, err := target.SecretNames(ctx)
			if ended := r.end(ctx); err == nil {
				err = ended
			}
			if err != nil {
				return operationFailure(err)
			}
			if shared.json {
				return printJSON(shared.streams.Out, names)
			}
			if len(names) == 0 {
				fmt.Fprintln(shared.streams.Out, "none, and none is required")
			}
			var rows [][]string
			for _, secret := range names {
				said := "present"
				switch {
				case !secret.Present:
					said = "missing: " + secret.NextStep
				case secret.Required:
					said = "present, required"
				}
				rows = append(rows, []string{secret.Name, said})
			}
			return shared.streams.tabulate(rows)
		},
	}
	environmentFlag(command, &environment, "whose secrets they are")
	return command
}

func newSecretsPut(shared *common) *cobra.Command {
	var environment, variable, file string
	command := &cobra.Command{
		Use:   "put NAME",
		Short: "Put one secret, from the standard input, a variable or a file",
		Long: "Reads the value from the standard input (on a terminal it asks, without showing it), from a variable of this process's\n" +
			"environment, or from a file; never from the command line, where other processes and the shell's history see it. One line\n" +
			"end at its end is left out. While the newest version is live, Cloudflare deploys the secret at once; otherwise a version\n" +
			"with it is made that takes no traffic, and the next deployment has it.",
		Example: "  penstock secrets put JWT_SECRET --env production --from-env JWT_SECRET\n  penstock secrets put TLS_KEY --env production --from-file key.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := cloudflare.SecretNamed(args[0]); err != nil {
				return fail(ExitUsage, "take letters, digits and _, and no digit first", err)
			}
			value, err := shared.streams.secretValue(args[0], variable, file)
			if err != nil {
				return err
			}
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			all := r.secrets.all()
			all[args[0]] = value
			r.hides.Store(redact.New(all))
			r.announce(secretsCommand, nil)
			result := event.Result{}
			err = r.underLease(ctx, func(id string) error {
				return r.doStep("put", "put secret "+args[0], func() (string, error) {
					put, err := target.PutSecret(ctx, id, args[0], value)
					if err != nil {
						return "", err
					}
					if put.Deployed {
						result.Version, result.Previous = put.Version, put.Base
						result.NextStep = "`penstock smoke --env " + environment + "` asks the version that everybody gets now"
						return "version " + put.Version + " has it and takes all traffic", nil
					}
					result.NextStep = "`penstock deploy --env " + environment + "` makes a version with it live"
					return "version " + put.Version + " has it and takes no traffic, because a newer version than the live one was there", nil
				})
			})
			return r.finish(ctx, result, operationFailure(err))
		},
	}
	environmentFlag(command, &environment, "to put it to")
	command.Flags().StringVar(&variable, "from-env", "", "read the value from this `variable`")
	command.Flags().StringVar(&file, "from-file", "", "read the value from this `file`")
	command.MarkFlagsMutuallyExclusive("from-env", "from-file")
	return command
}

// maxSecret is Cloudflare's own bound of a secret.
// Source: https://developers.cloudflare.com/workers/platform/limits/ (5 KB an environment variable).
const maxSecret = 5 << 10

// secretValue reads a secret from where it was said to be.
func (s *Streams) secretValue(name, variable, file string) (string, error) {
	var value string
	from := "the standard input"
	switch {
	case variable != "":
		value, from = s.Env(variable), "the variable "+variable
	case file != "":
		from = file
		content, err := os.Open(file)
		if err != nil {
			return "", fail(ExitUsage, "name a file that can be read", err)
		}
		defer content.Close()
		if value, err = readSecret(content); err != nil {
			return "", fail(ExitUsage, "", fmt.Errorf("read %s: %w", file, err))
		}
	default:
		var err error
		if value, err = s.askSecret(name); err != nil {
			return "", fail(ExitUsage, "", fmt.Errorf("read the secret: %w", err))
		}
	}
	value = strings.TrimSuffix(strings.TrimSuffix(value, "\n"), "\r")
	switch {
	case value == "":
		return "", fail(ExitUsage, "pipe the value in, or use --from-env or --from-file", fmt.Errorf("there is no value for %s in %s", name, from))
	case len(value) > maxSecret:
		return "", fail(ExitUsage, "keep what is larger in KV or R2, encrypted with a secret", fmt.Errorf("the value in %s has %d bytes, and Cloudflare takes %d", from, len(value), maxSecret))
	}
	return value, nil
}

func (s *Streams) askSecret(name string) (string, error) {
	in, ok := s.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		if s.In == nil {
			return "", errors.New("there is no standard input")
		}
		return readSecret(s.In)
	}
	fmt.Fprintf(s.Err, "Value of %s: ", name)
	value, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(s.Err)
	return string(value), err
}

func readSecret(from io.Reader) (string, error) {
	value, err := io.ReadAll(io.LimitReader(bufio.NewReader(from), maxSecret+3))
	return string(value), err
}
