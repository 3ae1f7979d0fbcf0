package api

import (
	"context"

	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/workers"
)

// AssetEntry is one static file in the list that opens an upload.
type AssetEntry struct {
	Hash string `json:"hash"` // 32 hexadecimal digits, which name content and content type
	Size int64  `json:"size"` // in bytes
}

// AssetSession is an upload of static files. It changes nothing that anybody sees.
type AssetSession struct {
	// Token is the right to upload; when nothing is missing, it is what a version's metadata names.
	Token string `json:"jwt"`
	// Missing are the hashes that Cloudflare does not have yet, in groups to be uploaded together.
	Missing [][]string `json:"buckets"`
}

// OpenAssets says which static files, by path, a version of the Worker will have.
// Source: https://developers.cloudflare.com/workers/static-assets/direct-upload/
func (c *Client) OpenAssets(ctx context.Context, name string, manifest map[string]AssetEntry) (AssetSession, error) {
	var got answer[AssetSession]
	params := workers.ScriptAssetUploadNewParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewScriptAssetUploadService(c.base...).New(ctx, name, params, c.changing(&got, jsonBody(map[string]any{"manifest": manifest}))...)
	return got.Result, err
}

// UploadAssets sends missing files, as the parts of a form in base64, each named by its hash. token is the session's. The
// answer to the last of them holds the token that a version's metadata names; "" until then.
func (c *Client) UploadAssets(ctx context.Context, token, contentType string, body []byte) (string, error) {
	var got answer[struct {
		Token string `json:"jwt"`
	}]
	params := workers.AssetUploadNewParams{}
	params.AccountID.Value = c.account
	_, err := workers.NewAssetUploadService(c.base...).New(ctx, params, c.changing(&got,
		option.WithRequestBody(contentType, body), option.WithQuery("base64", "true"), option.WithHeader("Authorization", "Bearer "+token))...)
	return got.Result.Token, err
}
