package main

import (
	"fmt"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// queuesGate judges queues and who takes messages out of them. Consumers are set up when the new version takes all of the
// traffic, so before that one that is missing is only told.
var queuesGate = resourceGate("queues", "every queue exists, delivers, and has the consumer that the config wants", evidence.ResourceQueue, "",
	func(request *gates.Request) (func(*sight, evidence.Resource), error) {
		return func(s *sight, resource evidence.Resource) { s.consumed(request.Phase, resource) }, nil
	})

func (s *sight) consumed(phase gates.Phase, resource evidence.Resource) {
	queue := resource.Queue
	if queue == nil {
		s.unknown("", "what queue %s is like is not known", resource.Name)
		return
	}
	if queue.ConsumersState == evidence.Present && queue.Reason != "" {
		s.unknown(queue.Reason, "whether queue %s delivers is not known", resource.Name)
	}
	if queue.DeliveryPaused {
		s.wrong("paused", "resume it with `wrangler queues resume-delivery "+resource.Name+"`", "queue %s keeps its messages: delivery is paused", resource.Name)
	}
	wanted := queue.Wanted
	if wanted == nil {
		return
	}
	if queue.ConsumersState != evidence.Present {
		s.unknown(queue.Reason, "who consumes queue %s is not known", resource.Name)
		return
	}
	consumer := consumerLike(queue.Consumers, *wanted)
	var differs []string
	if consumer != nil {
		differs = differences(*consumer, *wanted)
	}
	switch {
	case consumer != nil && len(differs) == 0:
		s.found("%s consumes it as wanted", who(*consumer))
	case !s.settled(phase):
		s.later("the consumer of queue %s is set up when the version takes all of the traffic", resource.Name)
	case consumer == nil:
		s.wrong("no consumer", s.penstock("provision")+" adds it; until then its messages pile up",
			"queue %s has no consumer %s; it has %s", resource.Name, who(*wanted), whoAll(queue.Consumers))
	default:
		s.wrong("settings", s.penstock("provision")+" brings it in line, or write in the wrangler config what is wanted",
			"the consumer %s of queue %s differs from the config: %s", who(*wanted), resource.Name, strings.Join(differs, ", "))
	}
}

// consumerLike finds the consumer that the config means.
func consumerLike(consumers []evidence.Consumer, wanted evidence.Consumer) *evidence.Consumer {
	for i, consumer := range consumers {
		if consumer.Type == wanted.Type && (wanted.Type != "worker" || consumer.Script == wanted.Script) {
			return &consumers[i]
		}
	}
	return nil
}

func who(consumer evidence.Consumer) string {
	if consumer.Script != "" {
		return consumer.Script
	}
	return consumer.Type
}

func whoAll(consumers []evidence.Consumer) string {
	if len(consumers) == 0 {
		return "none"
	}
	names := make([]string, len(consumers))
	for i, consumer := range consumers {
		names[i] = who(consumer)
	}
	return strings.Join(names, ", ")
}

// differences are the settings that the config gives and that the consumer does not have. What the config leaves open is
// Cloudflare's.
func differences(found, wanted evidence.Consumer) []string {
	var differs []string
	compare := func(name string, found, wanted *float64) {
		if wanted != nil && (found == nil || *found != *wanted) {
			differs = append(differs, fmt.Sprintf("%s is %s, %g is wanted", name, value(found), *wanted))
		}
	}
	compare("max_batch_size", found.BatchSize, wanted.BatchSize)
	compare("max_batch_timeout in ms", found.MaxWaitMS, wanted.MaxWaitMS)
	compare("max_retries", found.MaxRetries, wanted.MaxRetries)
	compare("max_concurrency", found.MaxConcurrency, wanted.MaxConcurrency)
	compare("retry_delay", found.RetryDelay, wanted.RetryDelay)
	compare("visibility_timeout_ms", found.VisibilityMS, wanted.VisibilityMS)
	if found.DeadLetterQueue != wanted.DeadLetterQueue {
		differs = append(differs, fmt.Sprintf("dead letters go to %q, %q is wanted", found.DeadLetterQueue, wanted.DeadLetterQueue))
	}
	return differs
}

func value(number *float64) string {
	if number == nil {
		return "not set"
	}
	return fmt.Sprintf("%g", *number)
}
