package runtime

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	r2KeyLimit     = 1024 // bytes
	r2ListLimit    = 1000
	r2RequestLimit = 1 << 20 // bytes of JSON
)

// serveR2 speaks the protocol of workerd's src/workerd/api/r2-rpc.c++: reads carry their request in a header, writes at
// the start of the body.
func (d *dataPlane) serveR2(w http.ResponseWriter, r *http.Request, bucket string) {
	request, err := readR2Request(r)
	if err == nil && len(request.SSEC) > 0 {
		err = errR2NotOffered
	}
	if err == nil && len(request.Object) > r2KeyLimit {
		err = errR2Name
	}
	if err != nil {
		d.r2Fail(w, request.Method, err)
		return
	}
	var answer any
	ctx := r.Context()
	switch request.Method {
	case "head":
		var o R2Object
		if o, err = d.runtime.store.R2Head(ctx, bucket, request.Object); err == nil {
			answer = r2AnswerOf(o, true, true)
		}
	case "get":
		d.r2Get(w, r, bucket, request)
		return
	case "put":
		answer, err = d.r2Put(ctx, bucket, request, r.Body)
	case "delete":
		keys := request.Objects
		if request.Object != "" {
			keys = append(keys, request.Object)
		}
		err = d.runtime.store.R2Delete(ctx, bucket, keys...)
		answer = struct{}{}
	case "list":
		answer, err = d.r2List(ctx, bucket, request)
	case "createMultipartUpload":
		answer, err = d.uploads().create(bucket, request)
	case "uploadPart":
		answer, err = d.uploads().part(bucket, request, r.Body)
	case "completeMultipartUpload":
		answer, err = d.uploads().complete(ctx, d.runtime.store, bucket, request)
	case "abortMultipartUpload":
		answer, err = struct{}{}, d.uploads().abort(bucket, request)
	default:
		err = errR2InvalidAction
	}
	if err != nil {
		d.r2Fail(w, request.Method, err)
		return
	}
	writeR2Head(w, http.StatusOK, answer, 0)
}

func (d *dataPlane) r2Fail(w http.ResponseWriter, method string, err error) {
	known := r2ErrorOf(err)
	if known == errR2Internal {
		d.runtime.log.Error("binding failed", "operation", "R2 "+method, "error", err)
	}
	known.write(w, nil)
}

func readR2Request(r *http.Request) (r2Request, error) {
	text := []byte(r.Header.Get("CF-R2-Request"))
	if r.Method == http.MethodPut {
		size, err := strconv.Atoi(r.Header.Get("CF-R2-Metadata-Size"))
		if err != nil || size < 0 || size > r2RequestLimit {
			return r2Request{}, errR2InvalidAction
		}
		text = make([]byte, size)
		if _, err := io.ReadFull(r.Body, text); err != nil {
			return r2Request{}, errR2InvalidAction
		}
	}
	var request r2Request
	if err := json.Unmarshal(text, &request); err != nil {
		return r2Request{}, fmt.Errorf("decode an R2 request: %w", errors.Join(err, errR2InvalidAction))
	}
	return request, nil
}

func (d *dataPlane) r2Get(w http.ResponseWriter, r *http.Request, bucket string, request r2Request) {
	o, body, err := d.runtime.store.R2Get(r.Context(), bucket, request.Object)
	if err != nil {
		d.r2Fail(w, "get", err)
		return
	}
	defer body.Close()
	answer := r2AnswerOf(o, true, true)
	if !request.OnlyIf.holds(&o) {
		errR2Precondition.write(w, &answer)
		return
	}
	offset, length, err := request.span(o.Size)
	if err != nil {
		d.r2Fail(w, "get", err)
		return
	}
	if length != o.Size {
		from, n := r2Number(offset), r2Number(length)
		answer.Range = &r2Range{Offset: &from, Length: &n}
	}
	if err := skip(body, offset); err != nil {
		d.r2Fail(w, "get", err)
		return
	}
	writeR2Head(w, http.StatusOK, answer, length)
	// An error cannot be told any more; the worker sees fewer bytes than announced.
	_, _ = io.CopyN(w, body, length)
}

func skip(body io.Reader, n int64) error {
	if seeker, ok := body.(io.Seeker); ok {
		if _, err := seeker.Seek(n, io.SeekStart); err != nil {
			return fmt.Errorf("seek in an object: %w", err)
		}
		return nil
	}
	if _, err := io.CopyN(io.Discard, body, n); err != nil {
		return fmt.Errorf("skip the start of an object: %w", err)
	}
	return nil
}

// span returns the part of an object that is asked for; the whole of it by default.
func (r r2Request) span(size int64) (offset, length int64, err error) {
	if r.RangeHeader != "" {
		return headerSpan(r.RangeHeader, size)
	}
	if r.Range == nil {
		return 0, size, nil
	}
	if r.Range.Suffix != nil {
		length = min(int64(*r.Range.Suffix), size)
		if length <= 0 {
			return 0, 0, errR2InvalidRange
		}
		return size - length, length, nil
	}
	if r.Range.Offset != nil {
		offset = int64(*r.Range.Offset)
	}
	length = size - offset
	if r.Range.Length != nil {
		length = min(int64(*r.Range.Length), length)
	}
	if offset < 0 || length <= 0 {
		return 0, 0, errR2InvalidRange
	}
	return offset, length, nil
}

// headerSpan reads an HTTP Range header. R2 serves the whole object for several ranges at once.
func headerSpan(header string, size int64) (offset, length int64, err error) {
	ranges, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(header, " ", "")), "bytes=")
	if !ok {
		return 0, 0, errR2InvalidRange
	}
	if strings.Contains(ranges, ",") {
		return 0, size, nil
	}
	first, last, ok := strings.Cut(ranges, "-")
	if !ok {
		return 0, 0, errR2InvalidRange
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 || size == 0 {
			return 0, 0, errR2InvalidRange
		}
		n = min(n, size)
		return size - n, n, nil
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from >= size {
		return 0, 0, errR2InvalidRange
	}
	to := size - 1
	if last != "" {
		if to, err = strconv.ParseInt(last, 10, 64); err != nil || to < from {
			return 0, 0, errR2InvalidRange
		}
		to = min(to, size-1)
	}
	return from, to - from + 1, nil
}

func (d *dataPlane) r2Put(ctx context.Context, bucket string, request r2Request, body io.Reader) (any, error) {
	o, err := request.object()
	if err != nil {
		return nil, err
	}
	sums, err := request.digests()
	if err != nil {
		return nil, err
	}
	lock, done := d.r2Writes.get(bucket + "\x00" + o.Key)
	lock.Lock()
	defer done()
	defer lock.Unlock()
	if request.OnlyIf != nil {
		current, err := d.runtime.store.R2Head(ctx, bucket, o.Key)
		existing := &current
		if errors.Is(err, ErrNotFound) {
			existing = nil
		} else if err != nil {
			return nil, err
		}
		if !request.OnlyIf.holds(existing) {
			// The body must be read, or workerd reports a broken connection in place of this answer.
			_, _ = io.Copy(io.Discard, body)
			return nil, errR2Precondition
		}
	}
	stored, err := d.runtime.store.R2Put(ctx, bucket, o, &verifiedReader{body: body, sums: sums})
	if err != nil {
		return nil, err
	}
	return r2AnswerOf(stored, true, true), nil
}

type digest struct {
	hash hash.Hash
	want []byte
}

// digests returns the checksums that the worker gave with a put.
func (r r2Request) digests() ([]digest, error) {
	var sums []digest
	for _, g := range []struct {
		text   string
		decode func(string) ([]byte, error)
		hash   func() hash.Hash
	}{
		{r.MD5, base64.StdEncoding.DecodeString, md5.New},
		{r.SHA1, hex.DecodeString, sha1.New},
		{r.SHA256, hex.DecodeString, sha256.New},
		{r.SHA384, hex.DecodeString, sha512.New384},
		{r.SHA512, hex.DecodeString, sha512.New},
	} {
		if g.text == "" {
			continue
		}
		want, err := g.decode(g.text)
		if err != nil {
			return nil, errR2BadDigest
		}
		sums = append(sums, digest{hash: g.hash(), want: want})
	}
	return sums, nil
}

// verifiedReader ends in errR2BadDigest instead of io.EOF when what was read has other checksums, so that the store never
// commits it.
type verifiedReader struct {
	body io.Reader
	sums []digest
}

func (v *verifiedReader) Read(p []byte) (int, error) {
	n, err := v.body.Read(p)
	for _, s := range v.sums {
		s.hash.Write(p[:n])
		if err == io.EOF && !slices.Equal(s.hash.Sum(nil), s.want) {
			return n, errR2BadDigest
		}
	}
	return n, err
}

func (d *dataPlane) r2List(ctx context.Context, bucket string, request r2Request) (any, error) {
	limit := request.Limit
	if limit == 0 {
		limit = r2ListLimit
	}
	if limit < 1 || limit > r2ListLimit {
		return nil, errR2MaxKeys
	}
	const includeHTTP, includeCustom = 0, 1
	withHTTP := !request.NewRuntime || slices.Contains(request.Include, includeHTTP)
	withCustom := !request.NewRuntime || slices.Contains(request.Include, includeCustom)
	answer := struct {
		Objects           []r2Answer `json:"objects"`
		Truncated         bool       `json:"truncated"`
		Cursor            string     `json:"cursor,omitempty"`
		DelimitedPrefixes []string   `json:"delimitedPrefixes"`
	}{Objects: []r2Answer{}, DelimitedPrefixes: []string{}}
	// The store knows no start key, so pages before it are read and dropped.
	for cursor := request.Cursor; ; {
		page, err := d.runtime.store.R2List(ctx, bucket, request.Prefix, cursor, request.Delimiter, limit)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Objects {
			if o.Key > request.StartAfter {
				answer.Objects = append(answer.Objects, r2AnswerOf(o, withHTTP, withCustom))
			}
		}
		for _, prefix := range page.DelimitedPrefixes {
			if prefix > request.StartAfter {
				answer.DelimitedPrefixes = append(answer.DelimitedPrefixes, prefix)
			}
		}
		cursor = page.Cursor
		answer.Cursor, answer.Truncated = cursor, cursor != ""
		if cursor == "" || len(answer.Objects)+len(answer.DelimitedPrefixes) > 0 {
			return answer, nil
		}
	}
}
