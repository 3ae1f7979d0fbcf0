package runtime

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestR2Span(t *testing.T) {
	t.Parallel()
	tests := []struct {
		request        string
		offset, length int64 // length -1: refused
	}{
		{`{}`, 0, 10},
		{`{"range":{"offset":"3"}}`, 3, 7},
		{`{"range":{"offset":3,"length":"4"}}`, 3, 4},
		{`{"range":{"offset":"3","length":"99"}}`, 3, 7},
		{`{"range":{"length":"4"}}`, 0, 4},
		{`{"range":{"suffix":"4"}}`, 6, 4},
		{`{"range":{"suffix":"99"}}`, 0, 10},
		{`{"range":{"offset":"10"}}`, 0, -1},
		{`{"range":{"suffix":"0"}}`, 0, -1},
		{`{"rangeHeader":"bytes=2-4"}`, 2, 3},
		{`{"rangeHeader":" Bytes = 2 - "}`, 2, 8},
		{`{"rangeHeader":"bytes=-3"}`, 7, 3},
		{`{"rangeHeader":"bytes=2-99"}`, 2, 8},
		{`{"rangeHeader":"bytes=0-1,4-5"}`, 0, 10},
		{`{"rangeHeader":"bytes=10-"}`, 0, -1},
		{`{"rangeHeader":"bytes=4-2"}`, 0, -1},
		{`{"rangeHeader":"bytes=-0"}`, 0, -1},
		{`{"rangeHeader":"lines=1-2"}`, 0, -1},
	}
	for _, tt := range tests {
		var r r2Request
		if err := json.Unmarshal([]byte(tt.request), &r); err != nil {
			t.Fatal(err)
		}
		offset, length, err := r.span(10)
		if tt.length < 0 {
			if !errors.Is(err, errR2InvalidRange) {
				t.Errorf("%s: %d+%d, %v", tt.request, offset, length, err)
			}
			continue
		}
		if offset != tt.offset || length != tt.length || err != nil {
			t.Errorf("%s: %d+%d, %v; want %d+%d", tt.request, offset, length, err, tt.offset, tt.length)
		}
	}
}

func TestR2Condition(t *testing.T) {
	t.Parallel()
	object := &R2Object{ETag: "e", Uploaded: time.UnixMilli(5500)}
	tests := []struct {
		condition   string
		holds, none bool // with the object, without any
	}{
		{`null`, true, true},
		{`{"etagMatches":[{"type":"strong","value":"e"}]}`, true, false},
		{`{"etagMatches":[{"type":"weak","value":"e"}]}`, false, false},
		{`{"etagMatches":[{"type":"wildcard"}]}`, true, false},
		{`{"etagMatches":[{"type":"strong","value":"x"}]}`, false, false},
		{`{"etagDoesNotMatch":[{"type":"strong","value":"e"}]}`, false, true},
		{`{"etagDoesNotMatch":[{"type":"weak","value":"e"}]}`, false, true},
		{`{"etagDoesNotMatch":[{"type":"wildcard"}]}`, false, true},
		{`{"etagDoesNotMatch":[{"type":"strong","value":"x"}]}`, true, true},
		{`{"uploadedAfter":"5000"}`, true, false},
		{`{"uploadedAfter":"5000","secondsGranularity":true}`, false, false},
		{`{"uploadedAfter":"6000"}`, false, false},
		{`{"uploadedBefore":"6000"}`, true, true},
		{`{"uploadedBefore":"5000"}`, false, true},
		{`{"etagMatches":[{"type":"strong","value":"e"}],"uploadedBefore":"5000"}`, true, false},
		{`{"etagDoesNotMatch":[{"type":"strong","value":"x"}],"uploadedAfter":"6000"}`, true, false},
	}
	for _, tt := range tests {
		var c *r2Conditional
		if err := json.Unmarshal([]byte(tt.condition), &c); err != nil {
			t.Fatal(err)
		}
		if c.holds(object) != tt.holds || c.holds(nil) != tt.none {
			t.Errorf("%s: holds = %t, without an object %t", tt.condition, c.holds(object), c.holds(nil))
		}
	}
}
