// Package github shows a run where people look at it on GitHub: commit statuses, a check run with annotations, a deployment,
// one comment on the pull request, code scanning, the notes of a release.
//
// What is reported is the newest state of each of these, not a log of calls: while GitHub is slow or limits us, newer states
// replace those that wait. Nothing here can block or fail a run; what could not be sent is returned by [Reporter.Close] in
// words for people. A state is success only when everything it stands for has passed: what waits is pending, and what was
// not asked or could not be found out is none.
package github
