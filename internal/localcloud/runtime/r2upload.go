package runtime

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// r2PartMinimum is the smallest part but the last: developers.cloudflare.com/r2/platform/limits.
const (
	r2PartMinimum = 5 << 20
	r2PartCount   = 10_000
)

// uploads keeps the parts of unfinished multipart uploads in a folder, one per upload, so that they survive a restart.
// Completing an upload hands them to the store as one object.
type uploads struct{ dir string }

// upload is what the folder's description says.
type upload struct {
	Bucket string
	Object R2Object
}

const uploadDescription = "upload.json"

var uploadID = regexp.MustCompile(`^[0-9a-f-]{36}$`)

func (d *dataPlane) uploads() uploads {
	return uploads{dir: filepath.Join(d.runtime.dir, "r2-uploads")}
}

func (u uploads) create(bucket string, request r2Request) (any, error) {
	o, err := request.object()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(upload{Bucket: bucket, Object: o})
	if err != nil {
		return nil, fmt.Errorf("describe an upload: %w", err)
	}
	id := uuid.NewString()
	folder := filepath.Join(u.dir, id)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create an upload's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, uploadDescription), text, 0o600); err != nil {
		return nil, fmt.Errorf("describe an upload: %w", err)
	}
	return map[string]string{"uploadId": id}, nil
}

// open finds an upload by what the worker says about it.
func (u uploads) open(bucket string, request r2Request) (folder string, _ upload, _ error) {
	if !uploadID.MatchString(request.UploadID) { // it becomes part of a path
		return "", upload{}, errR2NoSuchUpload
	}
	folder = filepath.Join(u.dir, request.UploadID)
	text, err := os.ReadFile(filepath.Join(folder, uploadDescription))
	if errors.Is(err, os.ErrNotExist) {
		return "", upload{}, errR2NoSuchUpload
	}
	if err != nil {
		return "", upload{}, fmt.Errorf("read an upload's description: %w", err)
	}
	var found upload
	if err := json.Unmarshal(text, &found); err != nil {
		return "", upload{}, fmt.Errorf("read an upload's description: %w", err)
	}
	if found.Bucket != bucket || found.Object.Key != request.Object {
		return "", upload{}, errR2NoSuchUpload
	}
	return folder, found, nil
}

// part stores one part; one of the same number is replaced. Its file is named by number and ETag.
func (u uploads) part(bucket string, request r2Request, body io.Reader) (any, error) {
	if request.PartNumber < 1 || request.PartNumber > r2PartCount {
		return nil, errR2InvalidPart
	}
	folder, _, err := u.open(bucket, request)
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(folder, "incoming-*")
	if err != nil {
		return nil, fmt.Errorf("store a part: %w", err)
	}
	defer os.Remove(file.Name()) // fails once the file has its final name
	sum := md5.New()
	_, err = io.Copy(io.MultiWriter(file, sum), body)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("store a part: %w", err)
	}
	etag := hex.EncodeToString(sum.Sum(nil))
	earlier, err := filepath.Glob(filepath.Join(folder, strconv.Itoa(request.PartNumber)+"-*"))
	if err != nil {
		return nil, fmt.Errorf("find an earlier part: %w", err)
	}
	for _, name := range earlier {
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("replace a part: %w", err)
		}
	}
	if err := os.Rename(file.Name(), partFile(folder, r2Part{Part: request.PartNumber, ETag: etag})); err != nil {
		return nil, fmt.Errorf("store a part: %w", err)
	}
	return map[string]string{"etag": etag}, nil
}

func partFile(folder string, p r2Part) string {
	return filepath.Join(folder, strconv.Itoa(p.Part)+"-"+filepath.Base(p.ETag))
}

func (u uploads) complete(ctx context.Context, store Store, bucket string, request r2Request) (any, error) {
	folder, found, err := u.open(bucket, request)
	if err != nil {
		return nil, err
	}
	parts := slices.Clone(request.Parts)
	slices.SortFunc(parts, func(a, b r2Part) int { return a.Part - b.Part })
	var readers []io.Reader
	for i, p := range parts {
		if i > 0 && parts[i-1].Part == p.Part {
			return nil, errR2InvalidPart
		}
		file, err := os.Open(partFile(folder, p))
		if err != nil {
			return nil, errR2InvalidPart
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("read a part: %w", err)
		}
		if i < len(parts)-1 && info.Size() < r2PartMinimum {
			return nil, errR2TooSmall
		}
		readers = append(readers, file)
	}
	stored, err := store.R2Put(ctx, bucket, found.Object, io.MultiReader(readers...))
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("clear a completed upload: %w", err)
	}
	return r2AnswerOf(stored, true, true), nil
}

func (u uploads) abort(bucket string, request r2Request) error {
	folder, _, err := u.open(bucket, request)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("clear an aborted upload: %w", err)
	}
	return nil
}
