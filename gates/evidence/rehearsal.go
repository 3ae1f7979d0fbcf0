package evidence

// Rehearsal is what the pending migrations did to copies of the databases. The copies are gone when it is told.
type Rehearsal struct {
	Header
	App         string              `json:"app"`
	Environment string              `json:"environment"`
	Databases   []RehearsedDatabase `json:"databases"`
	Gaps        []Gap               `json:"gaps"`
	Smoke       RehearsedSmoke      `json:"smoke"`
}

// RehearsedSmoke is how the smoke tests (probes and smoke stages) of the environment went against the live and the next version,
// each on a Cloudflare of its own on the machine that tells it, with copies of the databases and with nothing in everything else.
type RehearsedSmoke struct {
	// State is Present when both versions were asked, Missing when there was nothing to ask or to ask it of, Unknown when they
	// could not be asked; the Reason says why in both.
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Live and Next are the versions on migrated copies.
	Live SmokeTrial `json:"live"`
	Next SmokeTrial `json:"next"`
	// Control is the live version on copies as the data is now. It is asked only when another failed: what it does not pass
	// either is not the migrations' doing, but asks for what is not there on such a place.
	Control *SmokeTrial `json:"control,omitempty"`
	Millis  int64       `json:"millis"` // that all of it took
}

// SmokeTrial is how the smoke tests went against one version.
type SmokeTrial struct {
	OK      bool     `json:"ok"`
	Summary string   `json:"summary"`
	Lines   []string `json:"lines"` // what the probes were answered and the stages said at their end
	// StandIns are the secrets that had random values, because nobody can read theirs.
	StandIns []string `json:"standIns"`
}

// RehearsedDatabase is one database's rehearsal.
type RehearsedDatabase struct {
	Binding string `json:"binding"`
	Name    string `json:"name"`
	// State is Present when the migrations were tried on a copy, Missing when there is nothing to try, Unknown when they
	// could not be tried, with the Reason.
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Copied says that the copy held the data of the database; of one that does not exist yet the copy is empty.
	Copied  bool     `json:"copied"`
	Pending []string `json:"pending"` // names of migrations, in order
	Applied []string `json:"applied"` // those of them that the copy took
	// Seed is the last name among them when that is a seed file, which goes behind the migrations.
	Seed string `json:"seed,omitempty"`
	// Failed is the migration that the copy refused, with the database's own words.
	Failed *RehearsalFailure `json:"failed,omitempty"`
	Millis int64             `json:"millis"` // that the migrations took, with the network's part in it
	Before []TableRows       `json:"before"` // of the app's own tables
	After  []TableRows       `json:"after"`
	// Unsound is what the database's own checks of integrity and foreign keys say afterwards, and UnsoundBefore what they
	// said of the data as it is.
	Unsound       []string `json:"unsound"`
	UnsoundBefore []string `json:"unsoundBefore"`
	// Live are the statements of the version that is live, Next those of what would be.
	Live Statements `json:"live"`
	Next Statements `json:"next"`
	// Left says that the copy could not be removed; it is called by this name.
	Left string `json:"left,omitempty"`
}

// RehearsalFailure is a migration that a copy refused.
type RehearsalFailure struct {
	Migration string `json:"migration"`
	Message   string `json:"message"`
}

// TableRows is how many rows a table has.
type TableRows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Statements is whether the SQL that code holds as constants still means something to the database after the migrations: each
// is prepared and not run.
type Statements struct {
	// State is Present when they were tried, Missing when there is no such code, Unknown when it could not be had or read.
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Tried are those that were asked about; a statement that the database does not know before the migrations either may
	// be another database's.
	Tried  int               `json:"tried"`
	Broken []BrokenStatement `json:"broken"`
}

// BrokenStatement is one that the database refuses to prepare after the migrations.
type BrokenStatement struct {
	SQL     string `json:"sql"`
	Message string `json:"message"`
}
