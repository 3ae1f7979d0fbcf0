// Package engine runs a pipeline: the stages as a DAG on an [Executor], then the gates, telling observers what happens.
//
// It knows neither containers nor processes (executors do), neither plugins (package gates/host does) nor targets
// (package promotion does). [Run] runs the build stages, [RunStages] those of any moment, [Judge] asks the gates of one
// phase; [Smoke] and [PromotionJudge] offer the same two things to a promotion through its ports.
//
// Everything fails closed: an executor that panics, answers with an outcome that does not exist, or claims a pass for a
// command that exited with 1 has errored; a gate that crashes, hangs or answers nonsense blocks.
package engine
