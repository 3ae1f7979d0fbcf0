package runtime

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// schedule is one of Cloudflare's cron expressions: minute, hour, day of month, month, day of week; all UTC. Its dialect
// counts weekdays from 1 = Sunday to 7 = Saturday, and knows L (last), W (nearest weekday) and # (nth weekday); see
// developers.cloudflare.com/workers/configuration/cron-triggers.
type schedule struct {
	text               string
	minutes, hours     uint64 // bit sets
	days, months       uint64
	weekdays           uint64 // bit 1 = Sunday
	anyDay, anyWeekday bool   // the field began with *
	daysBeforeEnd      int    // 0 = the last day of the month, -1 = not asked for
	weekdayNearest     int    // day of month, 0 = not asked for
	lastWorkday        bool   // LW
	lastWeekday        int    // 1-7: the last such weekday of the month
	nthWeekday, nth    int    // weekday 1-7 and which one of the month
}

var (
	monthNames   = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdayNames = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

func parseSchedule(text string) (*schedule, error) {
	fields := strings.Fields(strings.ToUpper(text))
	if len(fields) != 5 {
		return nil, fmt.Errorf("cron expression %q has %d fields; it needs five: minute hour day month weekday", text, len(fields))
	}
	s := &schedule{text: text, daysBeforeEnd: -1}
	steps := []func() error{
		func() (err error) { s.minutes, err = parseField(fields[0], 0, 59, nil); return },
		func() (err error) { s.hours, err = parseField(fields[1], 0, 23, nil); return },
		func() error { return s.parseDays(fields[2]) },
		func() (err error) { s.months, err = parseField(fields[3], 1, 12, monthNames); return },
		func() error { return s.parseWeekdays(fields[4]) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("cron expression %q, field %d: %w", text, i+1, err)
		}
	}
	return s, nil
}

func (s *schedule) parseDays(field string) (err error) {
	s.anyDay = strings.HasPrefix(field, "*")
	switch {
	case field == "L":
		s.daysBeforeEnd = 0
	case field == "LW" || field == "WL":
		s.lastWorkday = true
	case strings.HasPrefix(field, "L-"):
		s.daysBeforeEnd, err = parseValue(field[len("L-"):], 1, 30, nil)
	case strings.HasSuffix(field, "W"):
		s.weekdayNearest, err = parseValue(strings.TrimSuffix(field, "W"), 1, 31, nil)
	default:
		s.days, err = parseField(field, 1, 31, nil)
	}
	return err
}

func (s *schedule) parseWeekdays(field string) (err error) {
	s.anyWeekday = strings.HasPrefix(field, "*")
	if day, nth, found := strings.Cut(field, "#"); found {
		if s.nthWeekday, err = parseValue(day, 1, 7, weekdayNames); err == nil {
			s.nth, err = parseValue(nth, 1, 5, nil)
		}
		return err
	}
	if day, found := strings.CutSuffix(field, "L"); found && day != "" {
		s.lastWeekday, err = parseValue(day, 1, 7, weekdayNames)
		return err
	}
	if field == "L" {
		field = "7"
	}
	s.weekdays, err = parseField(field, 1, 7, weekdayNames)
	return err
}

// parseField parses a comma list of values, ranges and steps into a bit set.
func parseField(field string, low, high int, names []string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			var err error
			if step, err = parseValue(stepText, 1, high, nil); err != nil {
				return 0, fmt.Errorf("step: %w", err)
			}
		}
		from, to := low, high
		if span != "*" {
			first, last, ranged := strings.Cut(span, "-")
			var err error
			if from, err = parseValue(first, low, high, names); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if to, err = parseValue(last, low, high, names); err != nil {
					return 0, err
				}
			case !stepped: // 5/10 means from 5 on
				to = from
			}
		}
		if from > to {
			return 0, fmt.Errorf("the range %q runs backwards", span)
		}
		for v := from; v <= to; v += step {
			set |= 1 << v
		}
	}
	return set, nil
}

func parseValue(text string, low, high int, names []string) (int, error) {
	for i, name := range names {
		if text == name {
			return low + i, nil
		}
	}
	v, err := strconv.Atoi(text)
	if err != nil || v < low || v > high {
		return 0, fmt.Errorf("%q is not a number from %d to %d", text, low, high)
	}
	return v, nil
}

// matches tells whether the schedule fires in t's minute.
func (s *schedule) matches(t time.Time) bool {
	t = t.UTC()
	if s.minutes>>t.Minute()&1 == 0 || s.hours>>t.Hour()&1 == 0 || s.months>>int(t.Month())&1 == 0 {
		return false
	}
	day, weekday := s.matchesDay(t), s.matchesWeekday(t)
	if s.anyDay || s.anyWeekday {
		return day && weekday
	}
	return day || weekday // as in every cron since Vixie's: two restrictions mean either
}

func (s *schedule) matchesDay(t time.Time) bool {
	last := daysInMonth(t)
	switch {
	case s.daysBeforeEnd >= 0:
		return t.Day() == last-s.daysBeforeEnd
	case s.lastWorkday:
		return t.Day() == nearestWorkday(t, last)
	case s.weekdayNearest > 0:
		return s.weekdayNearest <= last && t.Day() == nearestWorkday(t, s.weekdayNearest)
	}
	return s.days>>t.Day()&1 == 1
}

func (s *schedule) matchesWeekday(t time.Time) bool {
	weekday := int(t.Weekday()) + 1
	switch {
	case s.nthWeekday > 0:
		return weekday == s.nthWeekday && (t.Day()-1)/7+1 == s.nth
	case s.lastWeekday > 0:
		return weekday == s.lastWeekday && t.Day()+7 > daysInMonth(t)
	}
	return s.weekdays>>weekday&1 == 1
}

func daysInMonth(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// nearestWorkday returns the Monday to Friday closest to the given day without leaving t's month.
func nearestWorkday(t time.Time, day int) int {
	last := daysInMonth(t)
	switch time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == last {
			return day - 2
		}
		return day + 1
	}
	return day
}
