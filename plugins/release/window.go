package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a gate has no time zones of the machine

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// windowGate asks whether this is a time at which things go out. A run that comes at another time waits, and is told until
// when.
type windowGate struct{ clock func() time.Time }

type windowConfig struct {
	Timezone string       `json:"timezone"`
	Allow    []openHours  `json:"allow"`
	Freeze   []freezeTime `json:"freeze"`
	Holidays []string     `json:"holidays"`
}

// openHours are hours on days of the week. Ones that end before they begin go on after midnight.
type openHours struct {
	Days []string `json:"days"`
	From string   `json:"from"`
	To   string   `json:"to"`
}

// freezeTime is a stretch of time in which nothing goes out. Days are meant from their first to their last moment.
type freezeTime struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Reason string `json:"reason"`
}

func (windowGate) Describe() gates.Description {
	return gates.Description{
		Name: "window", Title: "things go out at this time", Phases: asked(),
		Reports: []gates.Report{{Kind: gates.ReportPromotions}},
		Config: `{
			"$schema": "https://json-schema.org/draft/2020-12/schema",
			"type": "object", "additionalProperties": false,
			"$defs": {
				"clock": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"},
				"moment": {"type": "string", "pattern": "^[0-9]{4}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9])?$"}
			},
			"properties": {
				"timezone": {"type": "string", "minLength": 1, "default": "UTC", "description": "IANA name, such as Europe/Berlin, in which all times here are meant"},
				"allow": {
					"type": "array", "default": [], "description": "when things may go out; always when there is none",
					"items": {
						"type": "object", "additionalProperties": false,
						"properties": {
							"days": {"type": "array", "minItems": 1, "items": {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}, "description": "all when left out"},
							"from": {"$ref": "#/$defs/clock", "description": "00:00 when left out"},
							"to": {"$ref": "#/$defs/clock", "description": "24:00 when left out; before from: of the next day"}
						}
					}
				},
				"freeze": {
					"type": "array", "default": [], "description": "when nothing goes out",
					"items": {
						"type": "object", "additionalProperties": false, "required": ["from", "to"],
						"properties": {
							"from": {"$ref": "#/$defs/moment"},
							"to": {"$ref": "#/$defs/moment", "description": "a day counts to its end"},
							"reason": {"type": "string"}
						}
					}
				},
				"holidays": {
					"type": "array", "default": [], "description": "days on which nothing goes out: 2026-12-25, or 12-25 for every year",
					"items": {"type": "string", "pattern": "^([0-9]{4}-)?[01][0-9]-[0-3][0-9]$"}
				}
			}
		}`,
	}
}

func (g windowGate) Evaluate(_ context.Context, request *gates.Request) (*gates.Verdict, error) {
	config := windowConfig{Timezone: "UTC"}
	if err := request.DecodeConfig(&config); err != nil {
		return nil, err
	}
	calendar, err := newCalendar(config)
	if err != nil {
		return nil, err
	}
	reports := request.ReportsOf(gates.ReportPromotions)
	if len(reports) == 0 {
		return gates.Undecided("run it where the ledger is", "it is not known what time it is by the record"), nil
	}
	promotions, err := evidence.ReadPromotions(reports[0].Path)
	if err != nil {
		return nil, err
	}
	now := present(g.clock(), promotions)
	shown := func(t time.Time) string { return t.In(calendar.place).Format("Mon 2006-01-02 15:04 MST") }
	closed := calendar.closed(now)
	if closed == "" {
		return &gates.Verdict{Outcome: gates.Pass, Summary: "open at " + shown(now)}, nil
	}
	next, opens := calendar.opensAfter(now)
	if !opens {
		return gates.Failed("look at the gate's config: allow, freeze and holidays leave no time", "%s, and it does not open within %d days", closed, horizon), nil
	}
	return &gates.Verdict{
		Outcome: gates.Pending, Summary: fmt.Sprintf("%s; it opens at %s", closed, shown(next)),
		NextStep: "wait until then; where it cannot wait, and the gate is overridable, have it waived",
		Pending:  &gates.Clearance{By: "the calendar", AskAgain: max(next.Sub(now).Round(time.Second), time.Second)},
	}, nil
}

// calendar is a config that was read.
type calendar struct {
	place    *time.Location
	allow    []hours
	freeze   []frozen
	holidays []string
}

type hours struct {
	days     []time.Weekday // all when empty
	from, to int            // minutes since midnight; to may be 24 * 60
}

type frozen struct {
	from, to time.Time // to is the first moment after it
	reason   string
}

var weekdays = map[string]time.Weekday{
	"sun": time.Sunday, "mon": time.Monday, "tue": time.Tuesday, "wed": time.Wednesday, "thu": time.Thursday, "fri": time.Friday, "sat": time.Saturday,
}

func newCalendar(config windowConfig) (calendar, error) {
	place, err := time.LoadLocation(config.Timezone)
	if err != nil || config.Timezone == "Local" {
		return calendar{}, fmt.Errorf("timezone %q is not known; write an IANA name such as Europe/Berlin", config.Timezone)
	}
	c := calendar{place: place, holidays: config.Holidays}
	for _, open := range config.Allow {
		read := hours{to: 24 * 60}
		if open.From != "" {
			read.from, err = minutes(open.From)
		}
		if err == nil && open.To != "" {
			read.to, err = minutes(open.To)
		}
		if err != nil {
			return calendar{}, err
		}
		if read.from == read.to {
			return calendar{}, fmt.Errorf("hours from %s to %s are none", open.From, open.To)
		}
		for _, name := range open.Days {
			day, known := weekdays[name]
			if !known {
				return calendar{}, fmt.Errorf("%q is no day of the week", name)
			}
			read.days = append(read.days, day)
		}
		c.allow = append(c.allow, read)
	}
	for _, holiday := range config.Holidays {
		if _, err := time.Parse("2006-01-02", holiday); err == nil {
			continue
		}
		if _, err := time.Parse("2006-01-02", "2000-"+holiday); err != nil { // a leap year, for 02-29
			return calendar{}, fmt.Errorf("holiday %q is no day", holiday)
		}
	}
	for _, one := range config.Freeze {
		read := frozen{reason: one.Reason}
		from, _, err := moment(one.From)
		if err != nil {
			return calendar{}, err
		}
		to, day, err := moment(one.To)
		if err != nil {
			return calendar{}, err
		}
		if day {
			to = to.AddDate(0, 0, 1)
		}
		read.from, _ = onClock(from, place)
		_, read.to = onClock(to, place)
		if !read.to.After(read.from) {
			return calendar{}, fmt.Errorf("the freeze from %s to %s ends before it begins", one.From, one.To)
		}
		c.freeze = append(c.freeze, read)
	}
	return c, nil
}

func minutes(clock string) (int, error) {
	if clock == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", clock)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of day", clock)
	}
	return t.Hour()*60 + t.Minute(), nil
}

// onClock are the first and the last moment at which clocks in that place show a time, given as if it were UTC. Where clocks are
// set, one time of day comes twice or never; what is frozen then is frozen for all that it may mean.
func onClock(shown time.Time, place *time.Location) (first, last time.Time) {
	var exact, near []time.Time
	for _, around := range []time.Time{shown.Add(-24 * time.Hour), shown.Add(24 * time.Hour)} {
		_, offset := around.In(place).Zone()
		at := shown.Add(-time.Duration(offset) * time.Second).In(place)
		near = append(near, at)
		if _, now := at.Zone(); now == offset {
			exact = append(exact, at)
		}
	}
	if len(exact) > 0 {
		near = exact
	}
	return slices.MinFunc(near, time.Time.Compare), slices.MaxFunc(near, time.Time.Compare)
}

// moment reads a day, which day says, or a moment of one, as if it were UTC.
func moment(text string) (t time.Time, day bool, err error) {
	if t, err = time.Parse("2006-01-02", text); err == nil {
		return t, true, nil
	}
	if t, err = time.Parse("2006-01-02T15:04", text); err != nil {
		return t, false, fmt.Errorf("%q is neither a day nor a moment such as 2026-12-20T15:00", text)
	}
	return t, false, nil
}

// closed says why nothing goes out at that time; "" when it does.
func (c calendar) closed(t time.Time) string {
	for _, one := range c.freeze {
		if !t.Before(one.from) && t.Before(one.to) {
			text := "frozen until " + one.to.In(c.place).Format("2006-01-02 15:04")
			if one.reason != "" {
				text += " (" + one.reason + ")"
			}
			return text
		}
	}
	local := t.In(c.place)
	if date := local.Format("2006-01-02"); slices.Contains(c.holidays, date) || slices.Contains(c.holidays, date[len("2006-"):]) {
		return date + " is a holiday"
	}
	if len(c.allow) == 0 {
		return ""
	}
	clock := local.Hour()*60 + local.Minute()
	for _, open := range c.allow {
		today, yesterday := open.on(local.Weekday()), open.on((local.Weekday()+6)%7)
		switch {
		case open.from < open.to && today && clock >= open.from && clock < open.to,
			open.from > open.to && (today && clock >= open.from || yesterday && clock < open.to):
			return ""
		}
	}
	return strings.ToLower(local.Format("Mon")) + " " + local.Format("15:04") + " is outside the hours"
}

func (h hours) on(day time.Weekday) bool { return len(h.days) == 0 || slices.Contains(h.days, day) }

// horizon is how many days are looked ahead: over any freeze that is meant.
const horizon = 800

// opensAfter is the first moment after t at which things go out. Only at whole hours, at the beginning of open hours and at the
// end of a freeze can that begin.
func (c calendar) opensAfter(t time.Time) (time.Time, bool) {
	var moments []time.Time
	for _, one := range c.freeze {
		moments = append(moments, one.to)
	}
	local := t.In(c.place)
	for day := range horizon {
		at := func(minute int) time.Time {
			return time.Date(local.Year(), local.Month(), local.Day()+day, minute/60, minute%60, 0, 0, c.place)
		}
		for hour := range 24 {
			moments = append(moments, at(hour*60))
		}
		for _, open := range c.allow {
			moments = append(moments, at(open.from))
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	for _, candidate := range moments {
		if candidate.After(t) && candidate.Before(t.AddDate(0, 0, horizon)) && c.closed(candidate) == "" {
			return candidate, true
		}
	}
	return time.Time{}, false
}
