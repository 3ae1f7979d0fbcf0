package cloudflare

import (
	"context"
	"crypto/md5" //nolint:gosec // Cloudflare's name for the file that is imported, not a protection
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/penstock-ci/penstock/internal/sqldump"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
)

// importDump runs a dump in an empty database and proves that it holds what the dump does, row for row.
func (t *Target) importDump(ctx context.Context, id, path string, dump sqldump.Dump) error {
	if err := t.importFile(ctx, id, path); err != nil {
		return err
	}
	for _, table := range dump.Tables {
		var rows []struct{ N int64 }
		if err := t.rows(ctx, id, "SELECT count(*) AS n FROM "+quoteName(table.Name), &rows); err != nil {
			return err
		}
		if len(rows) != 1 {
			return fmt.Errorf("count the rows of table %s: %d answers", table.Name, len(rows))
		}
		if rows[0].N != table.Rows {
			return fmt.Errorf("table %s has %d rows there and %d in the export", table.Name, rows[0].N, table.Rows)
		}
	}
	return nil
}

// nothingToImport is what Cloudflare says of an import that ended between two questions, whether it came to its end or not.
const nothingToImport = "Not currently importing anything."

// importFile lets a database run a file of SQL as wrangler does: it announces the file by its MD5, uploads it, has it run, and
// waits.
// Source: https://developers.cloudflare.com/api/resources/d1/subresources/database/methods/import/
func (t *Target) importFile(ctx context.Context, id, path string) error {
	ctx, cancel := context.WithTimeout(ctx, exportTime)
	defer cancel()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := md5.New() //nolint:gosec // as above
	size, err := io.Copy(sum, file)
	if err != nil {
		return err
	}
	etag := hex.EncodeToString(sum.Sum(nil))
	transfer, err := t.api.Import(ctx, id, api.ImportStep{Action: "init", ETag: etag})
	if err != nil {
		return fmt.Errorf("announce the import: %w", err)
	}
	if transfer.UploadURL != "" { // none when it has that very file already
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		got, err := t.api.Put(ctx, transfer.UploadURL, file, size)
		if err != nil {
			return fmt.Errorf("upload the import: %w", err)
		}
		if !strings.EqualFold(got, etag) {
			return fmt.Errorf("upload the import: %q arrived, %q was sent", got, etag)
		}
	}
	transfer, err = t.api.Import(ctx, id, api.ImportStep{Action: "ingest", ETag: etag, Filename: transfer.Filename})
	if err != nil {
		return fmt.Errorf("run the import: %w", err)
	}
	for transfer.Status != "complete" {
		if transfer.Status == "error" || !transfer.Success {
			return fmt.Errorf("run the import: the database says %s", saidBy(transfer.Error, transfer.Messages))
		}
		if err := sleep(ctx, t.pace.poll); err != nil {
			return err
		}
		if transfer, err = t.api.Import(ctx, id, api.ImportStep{Action: "poll", CurrentBookmark: transfer.AtBookmark}); err != nil {
			return fmt.Errorf("wait for the import: %w", err)
		}
		if transfer.Error == nothingToImport {
			return nil // the rows tell how it ended
		}
	}
	return nil
}
