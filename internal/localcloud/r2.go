package localcloud

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) bucketRoutes() []route {
	const all, one = "/accounts/{account}/r2/buckets", "/accounts/{account}/r2/buckets/{bucket}"
	return []route{
		{"GET " + all, c.listBuckets},
		{"POST " + all, c.addBucket},
		{"GET " + one, c.getBucket},
		{"DELETE " + one, c.deleteBucket},
		{"GET " + one + "/domains/managed", c.bucketManagedDomain},
		{"GET " + one + "/domains/custom", c.bucketCustomDomains},
		{"GET " + one + "/objects", c.listObjects},
		{"GET " + one + "/objects/{key...}", c.getObject},
		{"PUT " + one + "/objects/{key...}", c.putObject},
		{"DELETE " + one + "/objects/{key...}", c.deleteObject},
	}
}

func (c *Cloud) bucket(r *http.Request) (store.Bucket, error) {
	bucket, err := c.store.Bucket(r.Context(), r.PathValue("bucket"))
	if errors.Is(err, store.ErrNotFound) {
		return store.Bucket{}, refuse(http.StatusNotFound, codeBucketNotFound, "The specified bucket does not exist.")
	}
	return bucket, err
}

func describeBucket(bucket store.Bucket) map[string]any {
	return map[string]any{
		"name": bucket.Name, "creation_date": bucket.CreatedAt, "location": bucket.Location,
		"storage_class": bucket.StorageClass, "jurisdiction": bucket.Jurisdiction,
	}
}

// bucketManagedDomain says that the bucket has no r2.dev address that is enabled: none here is public.
func (c *Cloud) bucketManagedDomain(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	return ok(map[string]any{"bucketId": bucket.Name, "domain": "pub-" + bucket.Name + ".r2.dev", "enabled": false}), err
}

// bucketCustomDomains lists none: they cannot be added here.
func (c *Cloud) bucketCustomDomains(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	_, err := c.bucket(r)
	return ok(map[string]any{"domains": []any{}}), err
}

// listBuckets nests the list, unlike other lists, and goes on by the last name of a page.
func (c *Cloud) listBuckets(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	buckets, err := c.store.Buckets(r.Context())
	if err != nil {
		return nil, err
	}
	perPage, err := positive(r, "per_page", 1000)
	if err != nil {
		return nil, err
	}
	query, out, info := r.URL.Query(), []map[string]any{}, &pageInfo{PerPage: perPage}
	for _, bucket := range buckets {
		if !strings.Contains(bucket.Name, query.Get("name_contains")) || bucket.Name <= query.Get("cursor") || bucket.Name < query.Get("start_after") {
			continue
		}
		if len(out) == perPage {
			info.Cursor, _ = out[perPage-1]["name"].(string)
			break
		}
		out = append(out, describeBucket(bucket))
	}
	info.Count = len(out)
	return &answer{result: map[string]any{"buckets": out}, info: info}, nil
}

func (c *Cloud) addBucket(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[struct {
		Name         string `json:"name"`
		LocationHint string `json:"locationHint"`
		StorageClass string `json:"storageClass"`
	}](r)
	if err != nil {
		return nil, err
	}
	if !bucketName(request.Name) {
		return nil, refuse(http.StatusBadRequest, codeBadBucketName, "The specified bucket name is not valid.")
	}
	bucket := store.Bucket{Name: request.Name, CreatedAt: now(), Location: strings.ToUpper(request.LocationHint), StorageClass: request.StorageClass, Jurisdiction: "default"}
	if bucket.Location == "" {
		bucket.Location = "ENAM"
	}
	if bucket.StorageClass == "" {
		bucket.StorageClass = "Standard"
	}
	err = c.store.AddBucket(r.Context(), bucket)
	if errors.Is(err, store.ErrExists) {
		return nil, refuse(http.StatusConflict, codeBucketExists, "The bucket you tried to create already exists, and you own it.")
	}
	return ok(describeBucket(bucket)), err
}

// bucketName follows R2's rule.
// Source: https://developers.cloudflare.com/r2/buckets/create-buckets/#bucket-level-operations
func bucketName(name string) bool {
	return len(name) >= 3 && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		name[0] != '-' && name[len(name)-1] != '-'
}

func (c *Cloud) getBucket(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	return ok(describeBucket(bucket)), err
}

func (c *Cloud) deleteBucket(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	if err != nil {
		return nil, err
	}
	err = c.store.DeleteBucket(r.Context(), bucket.Name)
	if errors.Is(err, store.ErrNotEmpty) {
		return nil, refuse(http.StatusConflict, codeBucketNotEmpty, "The bucket you tried to delete is not empty.")
	}
	return ok(map[string]any{}), err
}

func describeObject(object runtime.R2Object) map[string]any {
	return map[string]any{
		"key": object.Key, "etag": object.ETag, "size": object.Size, "last_modified": object.Uploaded, "storage_class": "Standard",
		"http_metadata": object.HTTPMetadata, "custom_metadata": object.CustomMetadata, "version": object.Version,
	}
}

func (c *Cloud) listObjects(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	if err != nil {
		return nil, err
	}
	limit, err := positive(r, "per_page", 1000)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	page, err := c.store.R2List(r.Context(), bucket.Name, query.Get("prefix"), query.Get("cursor"), query.Get("delimiter"), limit)
	if errors.Is(err, store.ErrCursor) {
		return nil, refuse(http.StatusBadRequest, codeBadQuery, "%v", err)
	}
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, object := range page.Objects {
		out = append(out, describeObject(object))
	}
	return &answer{result: out, info: &pageInfo{Count: len(out), PerPage: limit, Cursor: page.Cursor}}, nil
}

// objectHeaders are the HTTP headers that R2 keeps with an object, and its own names for them.
var objectHeaders = map[string]string{
	"Content-Type": "contentType", "Content-Language": "contentLanguage", "Content-Disposition": "contentDisposition",
	"Content-Encoding": "contentEncoding", "Cache-Control": "cacheControl", "Expires": "cacheExpiry",
}

func (c *Cloud) getObject(w http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	if err != nil {
		return nil, err
	}
	object, body, err := c.store.R2Get(r.Context(), bucket.Name, r.PathValue("key"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, codeObjectNotFound, "The specified key does not exist.")
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	for header, name := range objectHeaders {
		if value := object.HTTPMetadata[name]; value != "" {
			w.Header().Set(header, value)
		}
	}
	w.Header().Set("Content-Length", strconv.FormatInt(object.Size, 10))
	w.Header().Set("ETag", `"`+object.ETag+`"`)
	w.Header().Set("Last-Modified", object.Uploaded.Format(http.TimeFormat))
	_, _ = io.Copy(w, body) // the length is announced: a client that gets less knows
	return nil, nil
}

func (c *Cloud) putObject(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	if err != nil {
		return nil, err
	}
	object := runtime.R2Object{Key: r.PathValue("key"), HTTPMetadata: map[string]string{}}
	for header, name := range objectHeaders {
		if value := r.Header.Get(header); value != "" {
			object.HTTPMetadata[name] = value
		}
	}
	object, err = c.store.R2Put(r.Context(), bucket.Name, object, r.Body)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{
		"key": object.Key, "etag": object.ETag, "size": strconv.FormatInt(object.Size, 10), "version": object.Version,
		"uploaded": object.Uploaded.Format(time.RFC3339Nano), "storage_class": "Standard",
	}), nil
}

func (c *Cloud) deleteObject(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	bucket, err := c.bucket(r)
	if err != nil {
		return nil, err
	}
	return ok(map[string]any{"key": r.PathValue("key")}), c.store.R2Delete(r.Context(), bucket.Name, r.PathValue("key"))
}
