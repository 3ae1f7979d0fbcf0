package api

import (
	"context"
	"errors"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/r2"
)

// Object is an object of an R2 bucket, without its content.
type Object struct {
	Key      string    `json:"key"`
	Size     int64     `json:"size"` // in bytes
	Modified time.Time `json:"last_modified"`
}

// BucketObjects lists the objects of a bucket whose keys begin so. [ErrNotFound] when there is no such bucket.
func (c *Client) BucketObjects(ctx context.Context, bucket, prefix string) ([]Object, error) {
	var all []Object
	cursor := ""
	for range 1000 {
		params := r2.BucketObjectListParams{}
		params.AccountID.Value = c.account
		var got answer[[]Object]
		options := []option.RequestOption{option.WithQuery("prefix", prefix), option.WithQuery("per_page", "1000")}
		if cursor != "" {
			options = append(options, option.WithQuery("cursor", cursor))
		}
		if _, err := r2.NewBucketObjectService(c.base...).List(ctx, bucket, params, c.reading(&got, options...)...); err != nil {
			return nil, err
		}
		all = append(all, got.Result...)
		if cursor = got.ResultInfo.Cursor; cursor == "" {
			return all, nil
		}
	}
	return nil, errors.New("the list has no end: more than 1000 pages")
}

// DeleteObject removes an object of a bucket, if it is there.
func (c *Client) DeleteObject(ctx context.Context, bucket, key string) error {
	params := r2.BucketObjectDeleteParams{}
	params.AccountID.Value = c.account
	var got answer[any]
	_, err := r2.NewBucketObjectService(c.base...).Delete(ctx, bucket, escapeKey(key), params, c.changing(&got)...)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
