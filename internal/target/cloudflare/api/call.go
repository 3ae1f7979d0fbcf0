package api

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/cloudflare/cloudflare-go/v7/option"
)

// answer is the envelope around every result.
type answer[T any] struct {
	Result     T          `json:"result"`
	ResultInfo resultInfo `json:"result_info"`
}

// resultInfo is what a list says of its pages. Not every list says all of it.
type resultInfo struct {
	PerPage    int    `json:"per_page"`
	TotalCount int    `json:"total_count"`
	Cursor     string `json:"cursor"`
}

// reading are the options of a call that changes nothing; its answer goes to into.
func (c *Client) reading(into any, more ...option.RequestOption) []option.RequestOption {
	return slices.Concat(c.read, []option.RequestOption{option.WithResponseBodyInto(into)}, more)
}

// changing are the options of a call that changes something; its answer goes to into.
func (c *Client) changing(into any, more ...option.RequestOption) []option.RequestOption {
	return slices.Concat(c.change, []option.RequestOption{option.WithResponseBodyInto(into)}, more)
}

// jsonBody replaces what the SDK's generated parameters would send.
func jsonBody(value any) option.RequestOption {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // only our own structs of strings and numbers come here
	}
	return option.WithRequestBody("application/json", body)
}

// perPage is what every paged list accepts but those of zones, which take perPageOfZone at most.
// Source: Cloudflare's OpenAPI description (D1 10 to 10,000, KV 5 to 100, zones 5 to 50; of the others it names no bound).
const (
	perPage       = 100
	perPageOfZone = 50
)

// everyPage asks for page after page until it has all. The SDK's own pager is of no use: it drops the context. A page that is
// shorter than was asked for is the last one only where the answer does not say otherwise: the server may cut it shorter.
func everyPage[T any](size int, fetch func(page []option.RequestOption, into *answer[[]T]) error) ([]T, error) {
	var all []T
	for page := 1; page <= 1000; page++ {
		var got answer[[]T]
		if err := fetch(pageNumber(page, size), &got); err != nil {
			return nil, err
		}
		all = append(all, got.Result...)
		if got.ResultInfo.last(len(got.Result), len(all), size) {
			return all, nil
		}
	}
	return nil, errors.New("the list has no end: more than 1000 pages")
}

// last reports whether that page, after which there are all items, is the last one.
func (i resultInfo) last(page, all, size int) bool {
	switch {
	case page == 0:
		return true
	case i.TotalCount > 0:
		return all >= i.TotalCount
	case i.PerPage > 0:
		return page < i.PerPage
	default:
		return page < size
	}
}

func pageNumber(page, size int) []option.RequestOption {
	return []option.RequestOption{
		option.WithQuery("page", strconv.Itoa(page)), option.WithQuery("per_page", strconv.Itoa(size)),
	}
}
