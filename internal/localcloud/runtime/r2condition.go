package runtime

// holds evaluates a condition on an object, or on nil where there is none. It follows RFC 9110, section 13.2.2: a
// matching ETag outweighs its date counterpart. Nothing asked for always holds.
func (c *r2Conditional) holds(o *R2Object) bool {
	if c == nil {
		return true
	}
	if o == nil {
		// Without an object no ETag matches and nothing was uploaded after anything.
		return c.ETagMatches == nil && c.UploadedAfter == nil
	}
	uploaded := c.granular(o.Uploaded.UnixMilli())
	if c.ETagMatches != nil {
		if !matchesETag(c.ETagMatches, o.ETag, false) {
			return false
		}
	} else if c.UploadedBefore != nil && uploaded >= c.granular(int64(*c.UploadedBefore)) {
		return false
	}
	if c.ETagDoesNotMatch != nil {
		return !matchesETag(c.ETagDoesNotMatch, o.ETag, true)
	}
	return c.UploadedAfter == nil || uploaded > c.granular(int64(*c.UploadedAfter))
}

func (c *r2Conditional) granular(milliseconds int64) int64 {
	if c.SecondsGranularity {
		return milliseconds / 1000
	}
	return milliseconds
}

// matchesETag compares strongly or, for conditions that exclude, weakly (RFC 9110, section 8.8.3.2).
func matchesETag(tags []r2ETag, etag string, weakly bool) bool {
	for _, t := range tags {
		if t.Type == "wildcard" || t.Value == etag && (t.Type != "weak" || weakly) {
			return true
		}
	}
	return false
}
