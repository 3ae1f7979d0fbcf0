package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/penstock-ci/penstock/internal/report/terminal"
)

// helpWidth is how wide help is where nothing says how wide the reader's page is; on a terminal it is at most this wide, because
// longer lines are hard to read.
const helpWidth = 100

// explainWidely makes help fit the terminal: what a command does, its flags, and the list of commands below it.
func explainWidely(root *cobra.Command, streams *Streams) {
	root.SetHelpFunc(func(command *cobra.Command, _ []string) {
		command.InitDefaultHelpFlag()
		showHelp(command.OutOrStdout(), command, streams.helpWidth())
	})
	root.SetUsageFunc(func(command *cobra.Command) error {
		showUsage(command.OutOrStderr(), command, streams.helpWidth())
		return nil
	})
}

func (s *Streams) helpWidth() int {
	if columns, _, screen := terminalSize(s.Out); screen {
		return min(columns, helpWidth)
	}
	return helpWidth
}

func showHelp(w io.Writer, command *cobra.Command, width int) {
	about := command.Long
	if about == "" {
		about = command.Short
	}
	fmt.Fprintln(w, refilled(about, width))
	fmt.Fprintln(w)
	showUsage(w, command, width)
}

func showUsage(w io.Writer, command *cobra.Command, width int) {
	fmt.Fprintln(w, "Usage:")
	if command.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND [flags]\n", command.CommandPath())
	} else {
		fmt.Fprintf(w, "  %s\n", command.UseLine())
	}
	if command.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", command.Example)
	}
	if command.HasAvailableSubCommands() {
		fmt.Fprintln(w, "\nCommands:")
		var rows [][]string
		for _, below := range command.Commands() {
			if below.IsAvailableCommand() {
				rows = append(rows, []string{"  " + below.Name(), below.Short})
			}
		}
		_ = terminal.Columns(w, width, rows) // to people; a closed pipe has nobody to tell
	}
	flags := func(title string, set *pflag.FlagSet) {
		if set.HasAvailableFlags() {
			fmt.Fprintf(w, "\n%s:\n%s\n", title, strings.TrimRight(set.FlagUsagesWrapped(width), " \n"))
		}
	}
	flags("Flags", command.LocalFlags())
	flags("Flags of every command", command.InheritedFlags())
	if command.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\n`%s COMMAND --help` shows more of one of them.\n", command.CommandPath())
	}
}

// refilled breaks the lines of each paragraph anew. Lines that are indented, such as tables, stay as they are.
func refilled(text string, width int) string {
	var out []string
	var paragraph []string
	flush := func() {
		if len(paragraph) > 0 {
			out = append(out, terminal.Wrap(strings.Join(paragraph, " "), width)...)
		}
		paragraph = nil
	}
	for _, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, " ") {
			flush()
			out = append(out, line)
			continue
		}
		paragraph = append(paragraph, line)
	}
	flush()
	return strings.Join(out, "\n")
}
