package runtime

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cron string
		yes  []string
		no   []string
	}{
		{"* * * * *", []string{"2026-01-01 00:00", "2026-06-15 23:59"}, nil},
		{"*/30 * * * *", []string{"2026-01-01 00:00", "2026-01-01 05:30"}, []string{"2026-01-01 05:29"}},
		{"45 * * * *", []string{"2026-01-01 07:45"}, []string{"2026-01-01 07:46"}},
		{"0 17 * * sun", []string{"2026-11-22 17:00"}, []string{"2026-11-21 17:00"}},
		{"0 17 * * 1", []string{"2026-11-22 17:00"}, []string{"2026-11-23 17:00"}}, // Cloudflare's 1 is Sunday
		{"10 7 * * mon-fri", []string{"2026-11-23 07:10", "2026-11-27 07:10"}, []string{"2026-11-28 07:10"}},
		{"0 15 1 * *", []string{"2026-02-01 15:00"}, []string{"2026-02-02 15:00"}},
		{"0 18 * * 6L", []string{"2026-11-27 18:00"}, []string{"2026-11-20 18:00", "2026-11-28 18:00"}},
		{"0 18 * * L", []string{"2026-11-28 18:00"}, []string{"2026-11-29 18:00"}},
		{"59 23 LW * *", []string{"2026-01-30 23:59"}, []string{"2026-01-31 23:59"}}, // the 31st is a Saturday
		{"0 0 L * *", []string{"2028-02-29 00:00"}, []string{"2028-02-28 00:00"}},
		{"0 0 L-2 * *", []string{"2026-01-29 00:00"}, []string{"2026-01-31 00:00"}},
		{"0 0 1W * *", []string{"2026-08-03 00:00"}, []string{"2026-08-01 00:00"}}, // the 1st is a Saturday
		{"0 0 31W * *", []string{"2026-05-29 00:00"}, []string{"2026-05-31 00:00", "2026-04-30 00:00"}},
		{"0 0 * * 2#1", []string{"2026-11-02 00:00"}, []string{"2026-11-09 00:00"}},
		{"0 0 13 * fri", []string{"2026-11-13 00:00", "2026-11-20 00:00", "2026-12-13 00:00"}, []string{"2026-11-21 00:00"}},
		{"5/20 1-3,5 * jan,12 *", []string{"2026-01-09 05:25", "2026-12-09 02:45"}, []string{"2026-01-09 04:25", "2026-02-09 05:25"}},
	}
	for _, tt := range tests {
		s, err := parseSchedule(tt.cron)
		if err != nil {
			t.Errorf("%s: %v", tt.cron, err)
			continue
		}
		check := func(times []string, want bool) {
			for _, text := range times {
				at, err := time.Parse("2006-01-02 15:04", text)
				if err != nil {
					t.Fatal(err)
				}
				if s.matches(at) != want {
					t.Errorf("%s at %s: fires = %t", tt.cron, text, !want)
				}
			}
		}
		check(tt.yes, true)
		check(tt.no, false)
	}
	for _, bad := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* * * * 0", "* * * * 8", "5-1 * * * *", "*/0 * * * *",
		"a * * * *", "* * 0 * *", "* * 32W * *", "* * * * 2#6", "1,, * * * *"} {
		if _, err := parseSchedule(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	f.Add("*/5 1-2 L jan 2#1")
	f.Fuzz(func(_ *testing.T, text string) {
		if s, err := parseSchedule(text); err == nil {
			s.matches(time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC))
		}
	})
}
