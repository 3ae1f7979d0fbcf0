package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The JSON of workerd's src/workerd/api/r2-api.capnp, as its codec writes it: 64-bit numbers are strings, and fields with
// their default value are absent.

type r2Request struct {
	Method       string          `json:"method"`
	Object       string          `json:"object"`
	Objects      []string        `json:"objects"`
	Range        *r2Range        `json:"range"`
	RangeHeader  string          `json:"rangeHeader"`
	OnlyIf       *r2Conditional  `json:"onlyIf"`
	HTTPFields   json.RawMessage `json:"httpFields"`
	CustomFields []r2Record      `json:"customFields"`
	MD5          string          `json:"md5"` // base64; the others are hex
	SHA1         string          `json:"sha1"`
	SHA256       string          `json:"sha256"`
	SHA384       string          `json:"sha384"`
	SHA512       string          `json:"sha512"`
	SSEC         json.RawMessage `json:"ssec"`
	Limit        int             `json:"limit"`
	Prefix       string          `json:"prefix"`
	Cursor       string          `json:"cursor"`
	Delimiter    string          `json:"delimiter"`
	StartAfter   string          `json:"startAfter"`
	Include      []int           `json:"include"`
	NewRuntime   bool            `json:"newRuntime"`
	UploadID     string          `json:"uploadId"`
	PartNumber   int             `json:"partNumber"`
	Parts        []r2Part        `json:"parts"`
}

type r2Record struct {
	Key   string `json:"k"`
	Value string `json:"v"`
}

type r2Part struct {
	ETag string `json:"etag"`
	Part int    `json:"part"`
}

type r2Range struct {
	Offset *r2Number `json:"offset,omitempty"`
	Length *r2Number `json:"length,omitempty"`
	Suffix *r2Number `json:"suffix,omitempty"`
}

type r2Conditional struct {
	ETagMatches        []r2ETag  `json:"etagMatches"`
	ETagDoesNotMatch   []r2ETag  `json:"etagDoesNotMatch"`
	UploadedBefore     *r2Number `json:"uploadedBefore"` // Unix milliseconds
	UploadedAfter      *r2Number `json:"uploadedAfter"`
	SecondsGranularity bool      `json:"secondsGranularity"`
}

type r2ETag struct {
	Value string `json:"value"`
	Type  string `json:"type"` // strong, weak, wildcard
}

// r2Number is a 64-bit number that is written as a string and read as either.
type r2Number int64

func (n r2Number) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strconv.FormatInt(int64(n), 10) + `"`), nil
}

func (n *r2Number) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	if err != nil {
		return fmt.Errorf("decode a number: %w", err)
	}
	*n = r2Number(v)
	return nil
}

type r2Answer struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Size         r2Number          `json:"size"`
	ETag         string            `json:"etag"`
	Uploaded     r2Number          `json:"uploaded"` // Unix milliseconds
	HTTPFields   map[string]string `json:"httpFields,omitempty"`
	CustomFields []r2Record        `json:"customFields"`
	Range        *r2Range          `json:"range,omitempty"`
	Checksums    map[string]string `json:"checksums"`
	StorageClass string            `json:"storageClass"`
}

// checksumMD5 is the name of the MD5 among an answer's checksums.
const checksumMD5 = "0"

// r2AnswerOf describes an object. Custom metadata is sorted, so that equal objects have equal answers.
func r2AnswerOf(o R2Object, withHTTP, withCustom bool) r2Answer {
	a := r2Answer{
		Name: o.Key, Version: o.Version, Size: r2Number(o.Size), ETag: o.ETag, Uploaded: r2Number(o.Uploaded.UnixMilli()),
		CustomFields: []r2Record{}, Checksums: map[string]string{}, StorageClass: "Standard",
	}
	if withHTTP {
		a.HTTPFields = o.HTTPMetadata
	}
	if withCustom {
		for k, v := range o.CustomMetadata {
			a.CustomFields = append(a.CustomFields, r2Record{Key: k, Value: v})
		}
		slices.SortFunc(a.CustomFields, func(x, y r2Record) int { return strings.Compare(x.Key, y.Key) })
	}
	if len(o.ETag) == 32 { // the ETag of an object that was put in one piece is its MD5
		a.Checksums[checksumMD5] = o.ETag
	}
	return a
}

// object reads the description that a put or a new multipart upload carries.
func (r r2Request) object() (R2Object, error) {
	o := R2Object{Key: r.Object, HTTPMetadata: map[string]string{}, CustomMetadata: map[string]string{}, Uploaded: time.Now()}
	if len(r.HTTPFields) > 0 {
		// cacheExpiry is a number that comes as a string; the others are strings anyway.
		if err := json.Unmarshal(r.HTTPFields, &o.HTTPMetadata); err != nil {
			return R2Object{}, fmt.Errorf("decode HTTP metadata: %w", err)
		}
	}
	for _, c := range r.CustomFields {
		o.CustomMetadata[c.Key] = c.Value
	}
	return o, nil
}

// r2Error is an R2 answer that the worker sees as an exception, or as null where the API says so. Codes are those of the
// Workers R2 API.
type r2Error struct {
	status, code int
	message      string
}

func (e *r2Error) Error() string { return e.message }

var (
	errR2NoSuchKey     = &r2Error{http.StatusNotFound, 10007, "The specified key does not exist."}
	errR2TooSmall      = &r2Error{http.StatusBadRequest, 10011, "Your proposed upload is smaller than the minimum allowed object size."}
	errR2Name          = &r2Error{http.StatusBadRequest, 10020, "The specified object name is not valid."}
	errR2MaxKeys       = &r2Error{http.StatusBadRequest, 10022, "MaxKeys params must be positive integer <= 1000."}
	errR2NoSuchUpload  = &r2Error{http.StatusBadRequest, 10024, "The specified multipart upload does not exist."}
	errR2InvalidPart   = &r2Error{http.StatusBadRequest, 10025, "One or more of the specified parts could not be found."}
	errR2Precondition  = &r2Error{http.StatusPreconditionFailed, 10031, "At least one of the pre-conditions you specified did not hold."}
	errR2BadDigest     = &r2Error{http.StatusBadRequest, 10037, "The checksum you specified did not match what we received."}
	errR2InvalidRange  = &r2Error{http.StatusRequestedRangeNotSatisfiable, 10039, "The requested range is not satisfiable"}
	errR2NotOffered    = &r2Error{http.StatusNotImplemented, 10042, "Customer-supplied encryption keys are not available on this machine."}
	errR2InvalidAction = &r2Error{http.StatusBadRequest, 10029, "The request is not understood."}
	errR2Internal      = &r2Error{http.StatusInternalServerError, 10001, "We encountered an internal error. Please try again."}
)

// r2ErrorOf turns a store's or our own error into one for the worker.
func r2ErrorOf(err error) *r2Error {
	var known *r2Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, ErrNotFound):
		return errR2NoSuchKey
	}
	return errR2Internal
}

// write answers with the error; a worker's get() with a failed condition wants the object's description too.
func (e *r2Error) write(w http.ResponseWriter, about *r2Answer) {
	header, err := json.Marshal(map[string]any{"version": 1, "v4code": e.code, "message": e.message})
	if err != nil {
		panic(fmt.Sprintf("encode a constant: %v", err))
	}
	w.Header().Set("CF-R2-Error", string(header))
	if about == nil {
		w.WriteHeader(e.status)
		return
	}
	writeR2Head(w, e.status, *about, 0)
}

// writeR2Head writes an answer's JSON part and announces how many bytes of the object follow.
func writeR2Head(w http.ResponseWriter, status int, value any, follow int64) {
	text, err := json.Marshal(value)
	if err != nil {
		errR2Internal.write(w, nil)
		return
	}
	w.Header().Set("CF-R2-Metadata-Size", strconv.Itoa(len(text)))
	w.Header().Set("Content-Length", strconv.FormatInt(int64(len(text))+follow, 10))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the worker may have gone
}
