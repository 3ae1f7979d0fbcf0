package vault

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/penstock-ci/penstock/internal/snapshot"
)

// maxSource bounds what is unpacked, in bytes: far above any app's source, and below what fills a disk unseen.
const maxSource = 4 << 30

// KeepSource keeps the snapshot's files, read below dir. A file that is not what the snapshot says is an error.
func (v Vault) KeepSource(source *snapshot.Snapshot, dir string) error {
	path, err := v.path("sources", source.Digest, ".tar.gz")
	if err != nil {
		return fmt.Errorf("keep the source: %w", err)
	}
	if touched(path) {
		return nil
	}
	err = settle(path, func(file *os.File) error {
		zipped, _ := gzip.NewWriterLevel(file, gzip.BestSpeed) // the level exists
		packed := tar.NewWriter(zipped)
		for _, one := range source.Files {
			if err := pack(packed, dir, one); err != nil {
				return err
			}
		}
		return errors.Join(packed.Close(), zipped.Close())
	})
	if err != nil {
		return fmt.Errorf("keep the source: %w", err)
	}
	return nil
}

func pack(packed *tar.Writer, dir string, one snapshot.File) error {
	if one.Mode&fs.ModeSymlink != 0 {
		return packed.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: one.Path, Linkname: one.Target, Mode: 0o777})
	}
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(one.Path)))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := packed.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: one.Path, Size: one.Size, Mode: int64(one.Mode.Perm())}); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(packed, hash), file); err != nil {
		return err
	}
	if hex.EncodeToString(hash.Sum(nil)) != one.Digest {
		return fmt.Errorf("%s changed while it was being kept", one.Path)
	}
	return nil
}

// OpenSource unpacks a source into a folder that must not exist, and returns its snapshot, whose Root is that folder. What
// is not what its name says is an error; what is not there wraps [ErrGone]. The caller removes the folder, also after an
// error.
func (v Vault) OpenSource(digest, into string) (*snapshot.Snapshot, error) {
	path, err := v.path("sources", digest, ".tar.gz")
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("source %s: %w", digest, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open the kept source: %w", err)
	}
	defer file.Close()
	touched(path)
	if err := os.MkdirAll(into, 0o700); err != nil {
		return nil, fmt.Errorf("unpack the kept source: %w", err)
	}
	root, err := os.OpenRoot(into) // no link in the archive leads out of it
	if err != nil {
		return nil, fmt.Errorf("unpack the kept source: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing is written through it any more
	files, err := unpack(file, root)
	if err != nil {
		return nil, fmt.Errorf("unpack the kept source %s: %w", digest, err)
	}
	if found := snapshot.Digest(files); found != digest {
		return nil, fmt.Errorf("the kept source %s was changed: it is %s now", digest, found)
	}
	if into, err = filepath.EvalSymlinks(into); err != nil {
		return nil, fmt.Errorf("unpack the kept source: %w", err)
	}
	return &snapshot.Snapshot{Root: into, Digest: digest, Files: files}, nil
}

func unpack(from io.Reader, root *os.Root) ([]snapshot.File, error) {
	zipped, err := gzip.NewReader(from)
	if err != nil {
		return nil, err
	}
	packed := tar.NewReader(io.LimitReader(zipped, maxSource))
	var files []snapshot.File
	for {
		header, err := packed.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		one, err := unpackOne(packed, header, root)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", header.Name, err)
		}
		files = append(files, one)
	}
}

func unpackOne(packed *tar.Reader, header *tar.Header, root *os.Root) (snapshot.File, error) {
	name := filepath.FromSlash(header.Name)
	if !filepath.IsLocal(name) {
		return snapshot.File{}, errors.New("leads out of the folder")
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return snapshot.File{}, err
	}
	switch header.Typeflag {
	case tar.TypeSymlink:
		if err := root.Symlink(filepath.FromSlash(header.Linkname), name); err != nil {
			return snapshot.File{}, err
		}
		sum := sha256.Sum256([]byte(header.Linkname))
		return snapshot.File{
			Path: header.Name, Mode: fs.ModeSymlink, Size: int64(len(header.Linkname)), Digest: hex.EncodeToString(sum[:]), Target: header.Linkname,
		}, nil
	case tar.TypeReg:
		mode := fs.FileMode(0o644)
		if header.Mode&0o111 != 0 {
			mode = 0o755
		}
		file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return snapshot.File{}, err
		}
		hash := sha256.New()
		size, err := io.Copy(io.MultiWriter(file, hash), packed)
		if err := errors.Join(err, file.Close()); err != nil {
			return snapshot.File{}, err
		}
		return snapshot.File{Path: header.Name, Mode: mode, Size: size, Digest: hex.EncodeToString(hash.Sum(nil))}, nil
	default:
		return snapshot.File{}, fmt.Errorf("is neither a file nor a link (%c)", header.Typeflag)
	}
}
