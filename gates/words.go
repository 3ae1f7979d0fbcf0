package gates

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Span says how long something lasts, as every message of Penstock does: 8 ms, 1.2 s, 30 s, 2 m 05 s, 3 h 10 m, 2 d 4 h. It cuts
// and never rounds up. A negative span is none: "".
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute && d%time.Second == 0:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", math.Floor(d.Seconds()*10)/10)
	case d < time.Hour:
		return twoParts(d, time.Minute, "%d m", time.Second, " %02d s")
	case d < 48*time.Hour:
		return twoParts(d, time.Hour, "%d h", time.Minute, " %02d m")
	default:
		return twoParts(d, 24*time.Hour, "%d d", time.Hour, " %d h")
	}
}

// twoParts leaves the smaller part out when there is none of it.
func twoParts(d, large time.Duration, first string, small time.Duration, second string) string {
	text := fmt.Sprintf(first, d/large)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(second, rest)
	}
	return text
}

// Figures writes a measurement's value and its limit, each with its unit: "92.4 %" and "80 %". limit is "" when there is none. The
// unit of things that are counted is their name, and stands in neither.
func (m Measurement) Figures() (value, limit string) {
	unit := ""
	if m.Unit != "" && m.Unit != "count" {
		unit = " " + m.Unit
	}
	if m.Limit != nil {
		limit = number(*m.Limit) + unit
	}
	return number(m.Value) + unit, limit
}

// number drops decimals that say nothing. It never rounds a value up to a limit that it missed: it cuts. What has more digits than
// anybody reads is written with an exponent, as it is.
func number(value float64) string {
	if math.Abs(value) >= 1e15 {
		return strconv.FormatFloat(value, 'g', -1, 64)
	}
	text := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", math.Trunc(value*100+math.Copysign(1e-9, value))/100), "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}
