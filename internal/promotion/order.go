package promotion

import "context"

// PutInOrder puts back what promotions left that died, so that a plan can be made against what is live when nobody is at
// work. It takes the lease for that, and does nothing else. [Promote] does the same on its way; what people must approve is
// planned before that, and must not be planned against a half-made change.
func PutInOrder(ctx context.Context, options Options, app string, basis Basis) error {
	a := &attempt{Options: options.withDefaults(), plan: Plan{Basis: basis}}
	a.state = Checkpoint{Promotion: options.Promotion, Run: options.Run, State: Planned}
	if err := a.acquire(ctx); err != nil {
		return err
	}
	defer a.release(ctx)
	_, err := a.recover(ctx)
	reason := "put in order what an earlier promotion of " + app + " left"
	if err != nil {
		reason = err.Error()
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.CleanUp)
	defer cancel()
	// It changed nothing of its own, so that its end is never more than that.
	if ended := a.end(ending, Cancelled, reason); err == nil {
		err = ended
	}
	return err
}
