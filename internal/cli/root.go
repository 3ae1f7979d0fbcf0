package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock-ci/penstock/pipelines"
)

// common are the flags of every command.
type common struct {
	streams *Streams
	folder  string
	json    bool
	verbose bool // every stage, gate and step in a row of its own
	// hub says which run on GitHub commands are about, in place of what Actions says; nil for most.
	hub *hub
}

func newRoot(streams *Streams) *cobra.Command {
	shared := &common{streams: streams}
	var version bool
	root := &cobra.Command{
		Use:   "penstock",
		Short: "Take a Cloudflare Worker from source to a gated production",
		Long: "Penstock takes a commit of a Cloudflare Workers app from source to production, through isolated stages and gates that\n" +
			"can say no. `penstock deploy --env local` needs no account: it deploys to a Cloudflare on this machine.\n\nExit codes:\n" + exitTable(),
		Example:       "  penstock deploy --env local\n  penstock check\n  penstock history",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if version {
				return tellVersion(shared)
			}
			return command.Help()
		},
	}
	root.Flags().BoolVar(&version, "version", false, "print the version, as the command of this name does")
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		var invalid *pflag.InvalidValueError
		if errors.As(err, &invalid) { // in words, not in those of the function that parsed it
			err = fmt.Errorf("%q is no value for --%s, which takes %s", invalid.GetValue(), invalid.GetFlag().Name, valueOf(invalid.GetFlag()))
		}
		next := "`" + command.CommandPath() + " --help` shows the flags and an example"
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			var known []string
			command.Flags().VisitAll(func(flag *pflag.Flag) {
				if !flag.Hidden {
					known = append(known, flag.Name)
				}
			})
			if near := pipelines.Nearest(unknown.GetSpecifiedName(), known); near != "" {
				next = "did you mean --" + near + "? " + next
			}
		}
		return fail(ExitUsage, next, err)
	})
	explainWidely(root, shared.streams)
	root.PersistentFlags().StringVarP(&shared.folder, "chdir", "C", ".", "the app's `folder`")
	root.PersistentFlags().BoolVar(&shared.json, "json", false, "print JSON instead of text for people")
	root.PersistentFlags().BoolVarP(&shared.verbose, "verbose", "v", false, "at the end of a run show each gate, stage and step in full, also those that went well")
	root.AddCommand(
		newInit(shared), newCheck(shared), newRunStages(shared), newPlan(shared), newDeploy(shared), newStatus(shared), newHistory(shared),
		newPromote(shared), newApprove(shared), newReject(shared), newWaive(shared), newWhy(shared),
		newRollback(shared), newBackup(shared), newRestore(shared), newDrill(shared), newMaintenance(shared), newSecrets(shared), newTail(shared), newProvision(shared), newSmoke(shared), newMigrate(shared),
		newVerify(shared), newGates(shared), newDoctor(shared), newGitHub(shared), newLocal(shared), newVersion(shared),
	)
	refuseExtraWords(root)
	shared.completeWords(root)
	return root
}

// valueOf says what a flag takes, with an example.
func valueOf(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "int":
		return "a whole number"
	case "uint":
		return "a whole number, 0 or more"
	case "float64":
		return "a number such as 0.5"
	case "duration":
		return "a time such as 30s, 10m or 1h30m"
	case "bool":
		return "true or false"
	default:
		return "a " + flag.Value.Type()
	}
}

// wrongWords says what a command takes beside its flags, and what it got. cobra counts in "arg(s)", and calls a word too many an
// unknown command.
func wrongWords(command *cobra.Command, args []string, err error) error {
	_, takes, _ := strings.Cut(command.Use, " ")
	switch {
	case command.HasSubCommands():
		return err
	case takes == "":
		return fmt.Errorf("`%s` takes flags only, and got %q", command.CommandPath(), strings.Join(args, " "))
	case len(args) == 0:
		return fmt.Errorf("`%s` takes %s, and got nothing", command.CommandPath(), takes)
	default:
		return fmt.Errorf("`%s` takes %s, and got %q", command.CommandPath(), takes, strings.Join(args, " "))
	}
}

// refuseExtraWords makes a wrong word a usage error with the exit code for it.
func refuseExtraWords(command *cobra.Command) {
	if command.HasSubCommands() && command.RunE == nil {
		command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
	}
	check := command.Args
	if check == nil {
		check = cobra.NoArgs
	}
	command.Args = func(command *cobra.Command, args []string) error {
		err := check(command, args)
		if err == nil {
			return nil
		}
		next := "`" + command.CommandPath() + " --help` shows what it takes"
		if len(args) > 0 && command.HasSubCommands() {
			command.SuggestionsMinimumDistance = 2
			if near := command.SuggestionsFor(args[0]); len(near) > 0 {
				next = "did you mean `" + command.CommandPath() + " " + near[0] + "`?"
			}
		}
		return fail(ExitUsage, next, wrongWords(command, args, err))
	}
	for _, below := range command.Commands() {
		refuseExtraWords(below)
	}
}

// appFolder is the app's folder, absolute.
func (c *common) appFolder() (string, error) {
	folder, err := filepath.Abs(c.folder)
	if err != nil {
		return "", fail(ExitUsage, "name the app's folder with -C", err)
	}
	return folder, nil
}

// printJSON writes one value, indented, for people who pipe it to a file as much as for programs.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func environmentFlag(command *cobra.Command, into *string, what string) {
	command.Flags().StringVarP(into, "env", "e", "local", fmt.Sprintf("the `environment` %s", what))
}
