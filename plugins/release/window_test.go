package main

import (
	"strings"
	"testing"
	"time"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
	"github.com/penstock-ci/penstock/gates/gatetest"
)

func TestWindow(t *testing.T) {
	at := func(record time.Time, config string) gates.Request {
		return configured(gates.Request{Reports: []gates.Report{reportOf(t, gates.ReportPromotions, evidence.Promotions{Header: evidence.Header{TakenAt: record}, App: "shop", Promotions: []evidence.Promotion{}})}}, config)
	}
	with := func(config string) gates.Request { return at(time.Now(), config) }
	day := func(days int) string { return time.Now().AddDate(0, 0, days).Format("2006-01-02") }
	try(t, windowGate{clock: time.Now}, []gatetest.Case{
		{Name: "always open", Request: with(`{}`), Want: gates.Pass},
		{Name: "a freeze that is over", Request: with(`{"freeze": [{"from": "2001-01-01", "to": "2001-12-31"}]}`), Want: gates.Pass},
		{Name: "frozen", Request: with(`{"freeze": [{"from": "2001-01-01", "to": "` + time.Now().AddDate(0, 1, 0).Format("2006-01-02") + `", "reason": "exam weeks"}]}`),
			Want: gates.Pending, Check: gatetest.All(gatetest.Says("exam weeks", "it opens at"), clearedBy("the calendar"))},
		{Name: "frozen for ever", Request: with(`{"freeze": [{"from": "2001-01-01", "to": "2999-01-01"}]}`), Want: gates.Fail, Check: gatetest.Says("does not open")},
		{Name: "frozen, and the clock was set back to before that", Request: at(time.Now().AddDate(0, 0, 60), `{"freeze": [{"from": "`+day(50)+`", "to": "`+day(70)+`"}]}`),
			Want: gates.Pending, Check: gatetest.Says("frozen")},
		{Name: "a record of long ago", Request: at(time.Now().AddDate(-1, 0, 0), `{"freeze": [{"from": "`+day(-500)+`", "to": "`+day(-100)+`"}]}`), Want: gates.Pass},
		{Name: "no record", Request: configured(gates.Request{}, `{}`), Want: gates.Inconclusive},
		{Name: "a record that cannot be read", Request: configured(gates.Request{Reports: []gates.Report{{Kind: gates.ReportPromotions, Path: "window_test.go"}}}, `{}`), Want: gates.Error},
		{Name: "an unknown time zone", Request: with(`{"timezone": "Europe/Atlantis"}`), Want: gates.Error},
		{Name: "the machine's time zone", Request: with(`{"timezone": "Local"}`), Want: gates.Error},
		{Name: "a freeze that ends before it begins", Request: with(`{"freeze": [{"from": "2026-02-01", "to": "2026-01-01"}]}`), Want: gates.Error},
		{Name: "a day that does not exist", Request: with(`{"freeze": [{"from": "2026-02-30", "to": "2026-03-01"}]}`), Want: gates.Error},
		{Name: "a holiday that does not exist", Request: with(`{"holidays": ["13-01"]}`), Want: gates.Error},
		{Name: "hours that are none", Request: with(`{"allow": [{"from": "09:00", "to": "09:00"}]}`), Want: gates.Error},
	})
}

// TestCalendar: when it is open, why it is not, and when it opens again.
func TestCalendar(t *testing.T) {
	t.Parallel()
	office := []openHours{{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "09:00", To: "16:00"}}
	night := []openHours{{Days: []string{"fri"}, From: "22:00", To: "02:00"}}
	for _, row := range []struct {
		name   string
		config windowConfig
		now    string // RFC 3339
		closed string // "" is open
		opens  string
	}{
		{"in the hours", windowConfig{Timezone: "Europe/Berlin", Allow: office}, "2026-03-03T08:00:00Z", "", ""}, // Tuesday 09:00
		{"a minute before", windowConfig{Timezone: "Europe/Berlin", Allow: office}, "2026-03-03T07:59:00Z", "tue 08:59", "2026-03-03T08:00:00Z"},
		{"the last minute", windowConfig{Timezone: "Europe/Berlin", Allow: office}, "2026-03-03T14:59:59Z", "", ""},
		{"at the end", windowConfig{Timezone: "Europe/Berlin", Allow: office}, "2026-03-03T15:00:00Z", "outside the hours", "2026-03-04T08:00:00Z"},
		{"over the weekend", windowConfig{Timezone: "Europe/Berlin", Allow: office}, "2026-03-06T15:00:00Z", "outside", "2026-03-09T08:00:00Z"},
		{"over the weekend into summer time", windowConfig{Timezone: "Europe/Berlin", Allow: office}, "2026-03-27T15:00:00Z", "outside", "2026-03-30T07:00:00Z"},
		{"another place", windowConfig{Timezone: "America/New_York", Allow: office}, "2026-03-03T08:00:00Z", "tue 03:00", "2026-03-03T14:00:00Z"},
		{"after midnight, of the night before", windowConfig{Timezone: "UTC", Allow: night}, "2026-03-07T01:30:00Z", "", ""}, // Saturday
		{"after midnight, of no night", windowConfig{Timezone: "UTC", Allow: night}, "2026-03-06T01:30:00Z", "outside", "2026-03-06T22:00:00Z"},
		{"hours that the clock skips", windowConfig{Timezone: "Europe/Berlin", Allow: []openHours{{From: "02:30", To: "03:30"}}}, "2026-03-29T00:30:00Z", "outside", "2026-03-29T01:00:00Z"},
		{"a holiday", windowConfig{Timezone: "UTC", Holidays: []string{"2026-12-25"}}, "2026-12-25T12:00:00Z", "is a holiday", "2026-12-26T00:00:00Z"},
		{"a holiday of every year", windowConfig{Timezone: "UTC", Holidays: []string{"12-25", "12-26"}}, "2031-12-25T12:00:00Z", "is a holiday", "2031-12-27T00:00:00Z"},
		{"a holiday of another year", windowConfig{Timezone: "UTC", Holidays: []string{"2025-12-25"}}, "2026-12-25T12:00:00Z", "", ""},
		{"a holiday before office hours", windowConfig{Timezone: "UTC", Allow: office, Holidays: []string{"2026-03-04"}}, "2026-03-03T20:00:00Z", "outside", "2026-03-05T09:00:00Z"},
		{"frozen by days", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-12-20", To: "2027-01-02", Reason: "holidays"}}}, "2027-01-02T22:59:00Z", "(holidays)", "2027-01-02T23:00:00Z"},
		{"before the freeze", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-12-20", To: "2027-01-02"}}}, "2026-12-19T22:59:59Z", "", ""},
		{"frozen by the hour", windowConfig{Timezone: "UTC", Freeze: []freezeTime{{From: "2026-03-03T10:15", To: "2026-03-03T11:45"}}}, "2026-03-03T10:15:00Z", "frozen until 2026-03-03 11:45", "2026-03-03T11:45:00Z"},
		{"frozen until an hour that comes twice", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-10-24", To: "2026-10-25T02:30"}}}, "2026-10-25T00:45:00Z", "frozen", "2026-10-25T01:30:00Z"},
		{"frozen from an hour that comes twice", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-10-25T02:30", To: "2026-10-26"}}}, "2026-10-25T00:30:00Z", "frozen", "2026-10-26T23:00:00Z"},
		{"frozen until an hour that never comes", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-03-28", To: "2026-03-29T02:30"}}}, "2026-03-29T01:00:00Z", "frozen", "2026-03-29T01:30:00Z"},
		{"frozen from an hour that never comes", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-03-29T02:30", To: "2026-03-30"}}}, "2026-03-29T00:30:00Z", "frozen", "2026-03-30T22:00:00Z"},
		{"frozen until noon of such a day", windowConfig{Timezone: "Europe/Berlin", Freeze: []freezeTime{{From: "2026-03-28", To: "2026-03-29T12:00"}}}, "2026-03-29T10:00:00Z", "", ""},
		{"frozen for a day after which midnight never comes", windowConfig{Timezone: "Africa/Cairo", Freeze: []freezeTime{{From: "2026-04-22", To: "2026-04-23"}}}, "2026-04-23T21:30:00Z", "frozen", "2026-04-23T22:00:00Z"},
		{"one freeze after the other", windowConfig{Timezone: "UTC", Freeze: []freezeTime{{From: "2026-03-01", To: "2026-03-02"}, {From: "2026-03-03", To: "2026-03-04"}}}, "2026-03-01T00:00:00Z", "frozen", "2026-03-05T00:00:00Z"},
	} {
		calendar, err := newCalendar(row.config)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		now, err := time.Parse(time.RFC3339, row.now)
		if err != nil {
			t.Fatal(err)
		}
		closed := calendar.closed(now)
		if (closed == "") != (row.closed == "") || !strings.Contains(closed, row.closed) {
			t.Errorf("%s: closed %q, want %q", row.name, closed, row.closed)
		}
		if row.opens == "" {
			continue
		}
		if opens, ok := calendar.opensAfter(now); !ok || opens.UTC().Format(time.RFC3339) != row.opens {
			t.Errorf("%s: opens at %s, want %s", row.name, opens.UTC().Format(time.RFC3339), row.opens)
		}
	}
}

// FuzzCalendar: whatever the config, it is refused, or it never says that it opens when it is closed.
func FuzzCalendar(f *testing.F) {
	f.Add("Europe/Berlin", "mon", "09:00", "16:00", "2026-12-20", "2027-01-02T10:00", "12-25", int64(1770000000))
	f.Add("UTC", "sun", "22:00", "02:00", "2026-12-20", "2026-12-20", "2026-02-29", int64(0))
	f.Fuzz(func(t *testing.T, zone, day, from, to, begins, ends, holiday string, at int64) {
		if at < 0 || at > 1<<35 {
			return
		}
		calendar, err := newCalendar(windowConfig{
			Timezone: zone, Allow: []openHours{{Days: []string{day}, From: from, To: to}}, Freeze: []freezeTime{{From: begins, To: ends}}, Holidays: []string{holiday},
		})
		if err != nil {
			return
		}
		now := time.Unix(at, 0)
		if opens, ok := calendar.opensAfter(now); ok && (calendar.closed(opens) != "" || !opens.After(now)) {
			t.Errorf("it opens at %s, when it is closed: %s", opens, calendar.closed(opens))
		}
	})
}
