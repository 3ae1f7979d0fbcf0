package cloudflare

import "time"

// Hurry makes a target as impatient as tests must be.
func Hurry(t *Target) {
	t.pace = pace{settle: 5 * time.Millisecond, looks: 4, poll: 5 * time.Millisecond, shown: 10 * time.Second, certificate: 5 * time.Millisecond}
}
