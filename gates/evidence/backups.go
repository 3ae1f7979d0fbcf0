package evidence

import "time"

// Backups is what there is to go back to when data of the environment is lost.
type Backups struct {
	Header
	App         string `json:"app"`
	Environment string `json:"environment"`
	// Backups are newest first. What was not seen to its end is not among them.
	Backups []Backup `json:"backups"`
	// Complete says that there are no older ones than those listed.
	Complete bool `json:"complete"`
}

// The kinds of backups.
const (
	// BackupBookmark names a moment for the target's own time travel, in place and for 30 days (7 on Cloudflare's free plan).
	BackupBookmark = "bookmark"
	// BackupExport is a copy outside the target, of which a database was made to prove it.
	BackupExport = "export"
	// BackupDrill is an export that was restored into a fresh database of the account and compared; nothing of it is kept.
	BackupDrill = "drill"
)

// Backup is one of one database.
type Backup struct {
	Kind      string    `json:"kind"`
	Database  string    `json:"database"`
	At        time.Time `json:"at"` // not before this moment was it begun
	Run       string    `json:"run,omitempty"`
	Promotion string    `json:"promotion,omitempty"` // before whose migrations it was taken
	Bookmark  string    `json:"bookmark,omitempty"`
	Digest    string    `json:"digest,omitempty"` // "sha256:…" of the copy
	Size      int64     `json:"size,omitempty"`   // bytes
	// Kept says whether the copy is still there and what it was: Present when it was read just now or lies in a bucket where it was
	// read back, Missing when it is gone or changed, Unknown when it lies where nobody can look. Only for an export.
	Kept   State  `json:"kept,omitempty"`
	Where  string `json:"where,omitempty"`
	Reason string `json:"reason,omitempty"`
}
