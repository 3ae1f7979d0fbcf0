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
	Result     T `json:"result"`
	ResultInfo struct {
		TotalCount int    `json:"total_count"`
		Cursor     string `json:"cursor"`
	} `json:"result_info"`
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

// perPage is what every paged list accepts.
const perPage = 100

// everyPage asks for page after page until one is not full. The SDK's own pager is of no use: it drops the context.
func everyPage[T any](fetch func(page []option.RequestOption, into *answer[[]T]) error) ([]T, error) {
	var all []T
	for page := 1; page <= 1000; page++ {
		var got answer[[]T]
		if err := fetch(pageNumber(page), &got); err != nil {
			return nil, err
		}
		all = append(all, got.Result...)
		if len(got.Result) < perPage || len(all) == got.ResultInfo.TotalCount {
			return all, nil
		}
	}
	return nil, errors.New("the list has no end: more than 1000 pages")
}

func pageNumber(page int) []option.RequestOption {
	return []option.RequestOption{
		option.WithQuery("page", strconv.Itoa(page)), option.WithQuery("per_page", strconv.Itoa(perPage)),
	}
}
