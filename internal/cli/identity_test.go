package cli

import "testing"

// TestWhatPeopleSayIsOneLine: a reason or a name must not look like a line of somebody else's, or hide what it is.
func TestWhatPeopleSayIsOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"  seen on   staging ":                         "seen on staging",
		"ok\n  approved by bea@example.com: all good":  "ok approved by bea@example.com: all good",
		"ok\x1b[2K\rapproved":                          "ok [2K approved",
		"bea\u202e@example.com\u200b":                  "bea @example.com",
		"\x1b]8;;http://x\x1b\\here":                   "]8;;http://x \\here",
		" \t\u200b ":                                   "",
		"mit Umlauten: öffnen, 日本語, `quoted`, $(date)": "mit Umlauten: öffnen, 日本語, `quoted`, $(date)",
	} {
		if got := said(text); got != want {
			t.Errorf("said(%q) = %q, want %q", text, got, want)
		}
	}
}
