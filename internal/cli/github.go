package cli

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/internal/buildinfo"
	"github.com/penstock-ci/penstock/internal/report/actions"
	"github.com/penstock-ci/penstock/internal/report/github"
	"github.com/penstock-ci/penstock/internal/report/github/protection"
	"github.com/penstock-ci/penstock/internal/report/markdown"
)

func newGitHub(shared *common) *cobra.Command {
	command := &cobra.Command{
		Use:     "github",
		Short:   "Approvals on GitHub: reviewers of environments, and a protection rule",
		Example: "  penstock github pending 17365412",
	}
	command.AddCommand(
		newPending(shared), newReview(shared, true), newReview(shared, false), newProtection(shared),
	)
	return command
}

// repositoryOf finds the repository: GITHUB_REPOSITORY, else origin's.
func (c *common) repositoryOf(ctx context.Context, folder string) (string, error) {
	if name := c.streams.Env("GITHUB_REPOSITORY"); name != "" {
		return name, nil
	}
	if address, err := gitOutput(ctx, folder, "remote", "get-url", "origin"); err == nil {
		if parts := originName.FindStringSubmatch(address); parts != nil {
			return parts[1], nil
		}
	}
	return "", fail(ExitUsage, "set GITHUB_REPOSITORY to owner/name", errors.New("it is not known which repository on GitHub this is"))
}

var originName = regexp.MustCompile(`[/:]([A-Za-z0-9_.-]+/[A-Za-z0-9_-][A-Za-z0-9_.-]*?)(?:\.git)?/?$`)

func (c *common) apiAddress() string {
	return cmp.Or(c.streams.Env("GITHUB_API_URL"), "https://api.github.com")
}

// reviews is the API as the person whose token there is.
func (c *common) reviews(ctx context.Context, token, run string) (*github.Reviews, int64, error) {
	id, err := strconv.ParseInt(run, 10, 64)
	if err != nil || id <= 0 {
		return nil, 0, fail(ExitUsage, "it is the number in the address of the workflow run", fmt.Errorf("%q is no id of a workflow run", run))
	}
	folder, err := c.appFolder()
	if err != nil {
		return nil, 0, err
	}
	repository, err := c.repositoryOf(ctx, folder)
	if err != nil {
		return nil, 0, err
	}
	reviews, err := github.NewReviews(c.apiAddress(), repository, cmp.Or(token, c.streams.Env("GITHUB_TOKEN")), buildinfo.Version)
	if err != nil {
		return nil, 0, fail(ExitUsage, "put a token of yours into GITHUB_TOKEN: the one of a job may not review", err)
	}
	return reviews, id, nil
}

func newPending(shared *common) *cobra.Command {
	var token string
	command := &cobra.Command{
		Use:     "pending RUN",
		Short:   "List the environments for whose reviewers a workflow run waits",
		Example: "  penstock github pending 17365412",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx := command.Context()
			reviews, run, err := shared.reviews(ctx, token, args[0])
			if err != nil {
				return err
			}
			pending, err := reviews.Pending(ctx, run)
			if err != nil {
				return fail(ExitUnreachable, "", err)
			}
			if shared.json {
				return printJSON(shared.streams.Out, pending)
			}
			if len(pending) == 0 {
				fmt.Fprintln(shared.streams.Out, "the run waits for nobody")
				return nil
			}
			out := tabwriter.NewWriter(shared.streams.Out, 0, 4, 2, ' ', 0)
			for _, one := range pending {
				may := ""
				if one.MayReview {
					may = "you may review it"
				}
				fmt.Fprintf(out, "%s\t%s\t%s\n", markdown.Plain(one.Environment), markdown.Plain(strings.Join(one.Reviewers, ", ")), may)
			}
			return out.Flush()
		},
	}
	command.Flags().StringVar(&token, "github-token", "", "your `token`; better in GITHUB_TOKEN, because others can see arguments")
	return command
}

func newReview(shared *common, approve bool) *cobra.Command {
	verb, done, example := "reject", "rejected", `  penstock github reject 17365412 --env production --reason friday`
	if approve {
		verb, done, example = "approve", "approved", `  penstock github approve 17365412 --env production --reason reviewed`
	}
	var token, environment, reason string
	command := &cobra.Command{
		Use:     verb + " RUN",
		Short:   strings.ToUpper(verb[:1]) + verb[1:] + " an environment for a workflow run, as one of its reviewers",
		Example: example,
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx := command.Context()
			if strings.TrimSpace(reason) == "" {
				return fail(ExitUsage, "add --reason", errors.New("whoever looks back wants to know why"))
			}
			reviews, run, err := shared.reviews(ctx, token, args[0])
			if err != nil {
				return err
			}
			pending, err := reviews.Pending(ctx, run)
			if err != nil {
				return fail(ExitUnreachable, "", err)
			}
			for _, one := range pending {
				if one.Environment != environment {
					continue
				}
				if !one.MayReview {
					return fail(ExitBlocked, "ask one of "+list(one.Reviewers), fmt.Errorf("the owner of this token is no reviewer of %s", environment))
				}
				if err := reviews.Review(ctx, run, one, approve, reason); err != nil {
					return fail(ExitUnreachable, "", err)
				}
				if shared.json {
					return printJSON(shared.streams.Out, reviewed{run, environment, done, reason})
				}
				fmt.Fprintf(shared.streams.Out, "%s %s for workflow run %d\n", done, environment, run)
				return nil
			}
			return fail(ExitUsage, "`penstock github pending "+args[0]+"` lists what it waits for", fmt.Errorf("workflow run %d does not wait for %s", run, environment))
		},
	}
	command.Flags().StringVar(&token, "github-token", "", "your `token`; better in GITHUB_TOKEN, because others can see arguments")
	command.Flags().StringVarP(&environment, "env", "e", "production", "the `environment`")
	command.Flags().StringVar(&reason, "reason", "", "`why`, for whoever looks back (required)")
	return command
}

// reviewed is a review that was given, for programs.
type reviewed struct {
	Run         int64  `json:"run"`
	Environment string `json:"environment"`
	State       string `json:"state"`
	Reason      string `json:"reason"`
}

// answering says where the protection rule is answered, for programs.
type answering struct {
	URL        string `json:"url"`
	Repository string `json:"repository"`
}

// webhookSecret is the variable that holds the webhook's secret; there is no flag for it, because others can see arguments.
const webhookSecret = "PENSTOCK_WEBHOOK_SECRET"

func newProtection(shared *common) *cobra.Command {
	var listen, keyFile, executor string
	var appID int64
	command := &cobra.Command{
		Use:   "protection",
		Short: "Answer GitHub's deployment protection rule by Penstock's gates",
		Long: "Serves the webhook of a GitHub App. A job with `environment: production` waits until the stages and gates of its commit\n" +
			"were asked here, in the clone that -C names, by the pipeline of the default branch; then it goes on or is rejected.\n" +
			"The webhook's secret is read from " + webhookSecret + ". docs/github.md shows how to set the app up.",
		Example: "  " + webhookSecret + "=... penstock github protection --app-id 4711 --app-key app.pem -C /srv/clone",
		RunE: func(command *cobra.Command, _ []string) error {
			key, err := protection.ReadKey(keyFile)
			if err != nil {
				return fail(ExitUsage, "give the private key that GitHub made for the app, with --app-key", err)
			}
			return shared.protect(command.Context(), listen, executor, appID, key)
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:8377", "the `address` to listen on; put a proxy with TLS before it for GitHub to reach it")
	command.Flags().Int64Var(&appID, "app-id", 0, "the GitHub App's `id`")
	command.Flags().StringVar(&keyFile, "app-key", "", "the `file` with the GitHub App's private key")
	executorFlag(command, &executor)
	return command
}

// protect serves until it is interrupted.
func (c *common) protect(ctx context.Context, listen, executor string, appID int64, key *rsa.PrivateKey) error {
	folder, err := c.appFolder()
	if err != nil {
		return err
	}
	repository, err := c.repositoryOf(ctx, folder)
	if err != nil {
		return err
	}
	state, err := c.streams.stateDir()
	if err != nil {
		return err
	}
	judge := &deploymentJudge{shared: c, folder: folder, repository: repository, executor: executor}
	server, err := protection.New(protection.Options{
		Secret: []byte(c.streams.Env(webhookSecret)), AppID: appID, Key: key, API: c.apiAddress(), Repository: repository,
		Dir: filepath.Join(state, "protection"), Judge: judge.judge, Log: c.serverLog(),
	})
	if err != nil {
		return fail(ExitUsage, "`penstock github protection --help` shows what it takes", err)
	}
	defer server.Close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fail(ExitUsage, "choose another address with --listen", err)
	}
	routes := http.NewServeMux()
	routes.Handle("/webhook", server)
	serving := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	if c.json {
		if err := printJSON(c.streams.Out, answering{"http://" + listener.Addr().String() + "/webhook", repository}); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.streams.Out, "answering for %s at http://%s/webhook; Ctrl-C ends it, and what is not decided then is taken up by the next one\n", repository, listener.Addr())
	}
	stopped := context.AfterFunc(ctx, func() { _ = serving.Close() })
	defer stopped()
	if err := serving.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// serverLog writes lines with their time.
func (c *common) serverLog() func(string) {
	out := actions.NewGuard(c.streams.Err)
	return func(text string) { fmt.Fprintf(out, "%s %s\n", time.Now().UTC().Format(time.RFC3339), text) }
}
