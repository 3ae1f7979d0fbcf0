package cloudflare

// AbsentError says that what a command works on is not in the account yet, and what makes it.
type AbsentError struct {
	What     string // that is not there, as a sentence without its end
	NextStep string
}

// Error says what is not there.
func (e *AbsentError) Error() string { return e.What }

// noWorker says that nothing was deployed yet.
func (t *Target) noWorker() *AbsentError {
	return &AbsentError{
		What:     "Worker " + t.Worker.Name + " does not exist: nothing is deployed in " + t.Environment.Name + " yet",
		NextStep: "`penstock deploy --env " + t.Environment.Name + "` makes the first version live",
	}
}

// notProvisioned says that a resource is not there.
func (t *Target) notProvisioned(resource string) *AbsentError {
	return &AbsentError{
		What:     resource + " does not exist in the account of environment " + t.Environment.Name,
		NextStep: "`penstock provision --env " + t.Environment.Name + " --dry-run` shows all that is missing; without --dry-run it is made, empty",
	}
}
