// Package evidence is what penstock knows and a gate cannot ask for itself: what is live ([Environment]), how it fares
// ([Metrics]), what would change ([Plan]) and what happened before ([Promotions]).
//
// The engine gathers it and hands it to gates as reports, each a JSON file: a gate names the kinds that it judges among its
// reports (package gates has a [github.com/penstock-ci/penstock/gates.ReportKind] for each) and reads them with
// [ReadEnvironment] and its sisters. Evidence is gathered anew for each phase, and each time that a gate is asked again
// while a version bakes. Where it could not be gathered the gate is not asked, and the answer is "inconclusive".
//
// What was looked for and what was found are told apart by [State]: nothing is "missing" that could not be asked. The types
// are plain data and may be used from several goroutines as long as nobody changes them.
package evidence
