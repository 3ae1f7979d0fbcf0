package api

import "testing"

// TestMessagesAreOneLine: what Cloudflare says of a file's lines stays readable where a terminal gets no line breaks.
func TestMessagesAreOneLine(t *testing.T) {
	t.Parallel()
	err := &Error{Details: []Detail{
		{Code: 100324, Message: "Invalid _headers configuration:\nLine 1: Expected a path before headers\nLine 2: Infinite loop.\nLine 3: again\n"}, {Code: 1, Message: "more"},
	}}
	const want = "Invalid _headers configuration: Line 1: Expected a path before headers; Line 2: Infinite loop. Line 3: again [code: 100324]; more [code: 1]"
	if got := err.Message(); got != want {
		t.Errorf("%s", got)
	}
}
