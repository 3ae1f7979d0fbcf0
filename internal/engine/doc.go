// Package engine runs a pipeline: the stages as a DAG on an [Executor], then the gates, telling observers what happens.
//
// It knows neither containers nor processes (executors do), neither plugins (package gates/host does) nor targets
// (package promotion does).
package engine
