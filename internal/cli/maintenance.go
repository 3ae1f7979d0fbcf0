package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/event"
	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

// How a maintenance is recorded, and the step that ends one.
const (
	maintenanceCommand = "maintenance"
	stepResume         = "resume"
)

func newMaintenance(shared *common) *cobra.Command {
	command := &cobra.Command{
		Use:   maintenanceCommand,
		Short: "Take an environment out of service and put it back exactly as it was",
		Long: "`on` leads the environment's routes and custom domains to a maintenance Worker that Penstock ships; a Worker that is reached\n" +
			"by its own address gets a maintenance version with all traffic. With --read-only traffic stays, and the databases refuse\n" +
			"to be written. `off` ends whatever is on. Nothing is kept on this machine: any machine can end what another began.",
		Example: "  penstock maintenance on --env production --retry-after 30m\n" +
			"  penstock maintenance on --env production --read-only\n  penstock maintenance off --env production",
	}
	command.AddCommand(newMaintenanceOn(shared), newMaintenanceOff(shared), newMaintenanceStatus(shared))
	return command
}

func newMaintenanceOn(shared *common) *cobra.Command {
	var environment string
	var readOnly bool
	notice := cloudflare.Notice{}
	command := &cobra.Command{
		Use:     "on",
		Short:   "Show everybody a maintenance page, or make the databases read-only",
		Example: "  penstock maintenance on --env production",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			r.announce(maintenanceCommand, nil)
			err = r.besideUnfinished(ctx, func(id string, unfinished []promotion.Checkpoint) error {
				r.noteUnfinished(unfinished)
				if readOnly {
					return r.lockDatabases(ctx, target, notice.Message)
				}
				var now cloudflare.Maintenance
				err := r.doStep("suspend", "take the app out of service", func() (_ string, err error) {
					now, err = target.Suspend(ctx, id, notice)
					return describeMaintenance(now), err
				})
				if err == nil && now.Version != "" {
					for _, warning := range queuesMeanwhile(target.Worker.Queues.Consumers, notice.RetryAfter) {
						r.note("warning", warning)
					}
				}
				return err
			})
			result := event.Result{}
			if err == nil {
				result.Reason = environment + " is out of service"
				if readOnly {
					result.Reason = "the databases of " + environment + " are read-only"
				}
				result.NextStep = "`penstock maintenance off --env " + environment + "` ends it"
			}
			return r.finish(ctx, result, operationFailure(err))
		},
	}
	environmentFlag(command, &environment, "to take out of service")
	command.Flags().BoolVar(&readOnly, "read-only", false, "leave traffic as it is, and let the databases refuse to be written")
	command.Flags().StringVar(&notice.Message, "message", "We are working on this service and will be back soon.", "what people are told: a `text`")
	command.Flags().DurationVar(&notice.RetryAfter, "retry-after", 10*time.Minute, "the `time` after which clients may ask again")
	return command
}

func (r *run) noteUnfinished(promotions []promotion.Checkpoint) {
	for _, unfinished := range promotions {
		r.note("warning", fmt.Sprintf("promotion %s never came to its end; the first deployment after the maintenance puts in order what it left", unfinished.Promotion))
	}
}

// queuesMeanwhile says what becomes of the messages that a maintenance version is given: a queue gives up after its retries.
func queuesMeanwhile(consumers []wrangler.QueueConsumer, after time.Duration) []string {
	var said []string
	for _, consumer := range consumers {
		if consumer.Type == "http_pull" {
			continue // no Worker is given them
		}
		retries, end := 3, "they are lost" // Cloudflare's own
		if consumer.MaxRetries != nil {
			retries = *consumer.MaxRetries
		}
		if consumer.DeadLetterQueue != "" {
			end = "they go to queue " + consumer.DeadLetterQueue
		}
		said = append(said, fmt.Sprintf("messages of queue %s are given back for %s, %d times; after that %s: `wrangler queues pause-delivery %s` keeps them until `wrangler queues resume-delivery %[5]s`",
			consumer.Queue, gates.Span(min(max(after, time.Minute), 12*time.Hour)), retries, end, consumer.Queue))
	}
	return said
}

// lockDatabases makes the databases read-only, and says what it could not protect.
func (r *run) lockDatabases(ctx context.Context, target *cloudflare.Target, message string) error {
	var unprotected []string
	err := r.doStep("lock", "make the databases read-only", func() (string, error) {
		var err error
		if unprotected, err = target.Lock(ctx, message); err != nil {
			return "", err
		}
		now, err := target.Maintenance(ctx)
		return describeMaintenance(now), err
	})
	if len(unprotected) > 0 {
		r.note("warning", "virtual tables take no triggers and can still be written: "+list(unprotected))
	}
	return err
}

func newMaintenanceOff(shared *common) *cobra.Command {
	var environment string
	command := &cobra.Command{
		Use:     "off",
		Short:   "Put the environment back into service exactly as it was",
		Example: "  penstock maintenance off --env production",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			r.announce(maintenanceCommand, nil)
			result := event.Result{}
			err = r.besideUnfinished(ctx, func(_ string, unfinished []promotion.Checkpoint) error {
				r.noteUnfinished(unfinished)
				return r.doStep(stepResume, "put the app back into service", func() (string, error) {
					was, err := target.Resume(ctx)
					if err == nil && !was.On() {
						result.Reason = "there was no maintenance to end"
					}
					if err == nil && was.On() {
						result.Reason = environment + " is back in service"
						result.NextStep = "`penstock smoke --env " + environment + "` asks what everybody gets again"
						return "ended: " + describeMaintenance(was), nil
					}
					return describeMaintenance(was), err
				})
			})
			return r.finish(ctx, result, operationFailure(err))
		},
	}
	environmentFlag(command, &environment, "to put back into service")
	return command
}

func newMaintenanceStatus(shared *common) *cobra.Command {
	var environment string
	command := &cobra.Command{
		Use:     "status",
		Short:   "Show what is out of service",
		Example: "  penstock maintenance status --env production --json",
		RunE: func(command *cobra.Command, _ []string) error {
			ctx := command.Context()
			r, target, err := operate(ctx, shared, environment)
			if err != nil {
				return err
			}
			now, err := target.Maintenance(ctx)
			if ended := r.end(ctx); err == nil {
				err = ended
			}
			if err != nil {
				return operationFailure(err)
			}
			if shared.json {
				return printJSON(shared.streams.Out, maintenanceStatus{now.On(), now})
			}
			fmt.Fprintln(shared.streams.Out, describeMaintenance(now))
			return nil
		},
	}
	environmentFlag(command, &environment, "to look at")
	return command
}

// maintenanceStatus is what is out of service, for programs.
type maintenanceStatus struct {
	On bool `json:"on"`
	cloudflare.Maintenance
}

func describeMaintenance(m cloudflare.Maintenance) string {
	var said []string
	if len(m.Routes)+len(m.Domains) > 0 {
		said = append(said, "the maintenance page at "+list(append(append([]string{}, m.Routes...), m.Domains...)))
	}
	if m.Version != "" {
		said = append(said, "the maintenance version "+m.Version+" with all traffic")
	}
	if len(m.Tables) > 0 {
		said = append(said, fmt.Sprintf("%d tables read-only: %s", len(m.Tables), list(m.Tables)))
	}
	if len(said) == 0 {
		return "in service"
	}
	return strings.Join(said, "; ")
}
