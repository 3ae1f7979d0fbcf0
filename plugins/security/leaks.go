package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"
)

// leak is one credential that was found. The secret itself never leaves this process.
type leak struct {
	rule, what string // the rule's id, and what it looks for in words
	file       string // relative to the app's folder, with forward slashes
	line       int    // from 1; in the commit's version of the file when there is a commit
	commit     string // full hash; "" in the tree
	age        int    // of the commit, counted back from the newest; higher is older
	secret     string
}

// scanner finds credentials in text with the rule set of gitleaks. It is safe for concurrent use.
type scanner struct{ detector *detect.Detector }

// theScanner is made when the first secrets gate is asked, not when the set starts: compiling the rules takes longer than
// everything else that the set does.
var theScanner = sync.OnceValues(newScanner)

func newScanner() (*scanner, error) {
	// Gitleaks writes what it passes over to standard error, and that is kept and shown.
	logging.Logger = zerolog.Nop()
	detector, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("read the rules of gitleaks: %w", err)
	}
	// "gitleaks:allow" in a comment would be an allowance without a reason, an end or anybody who has to agree.
	detector.IgnoreGitleaksAllow = true
	// Text that is packed into base64 or percent signs, and once more.
	detector.MaxDecodeDepth = 2
	return &scanner{detector}, nil
}

// scan returns what it finds in a piece of a file. firstLine is the number of the piece's first line. A context that ends
// makes the answer incomplete, so it is an error.
func (s *scanner) scan(ctx context.Context, file, text string, firstLine int) ([]leak, error) {
	var leaks []leak
	for _, finding := range s.detector.DetectContext(ctx, detect.Fragment{Raw: text, FilePath: file, StartLine: firstLine}) { //nolint:staticcheck // what replaces it comes with v9
		leaks = append(leaks, leak{
			rule: finding.RuleID, what: strings.TrimSuffix(finding.Description, "."), file: file, line: finding.StartLine, secret: finding.Secret,
		})
	}
	return leaks, ctx.Err()
}

// fingerprintRounds makes a fingerprint cost 10 ms, so that a weak secret cannot be guessed from it by trying a dictionary
// in no time: fingerprints are shown, recorded and written into penstock.yaml.
const fingerprintRounds = 50_000

// fingerprint names a leak without telling it. It stays the same when the line moves and in every commit, and it is
// another one for another secret, file or rule: who allows one leak allows no second.
func (l leak) fingerprint() (string, error) {
	key, err := pbkdf2.Key(sha256.New, l.secret, []byte("penstock security/secrets\x00"+l.rule+"\x00"+l.file), fingerprintRounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("name a secret by its fingerprint: %w", err)
	}
	// A word of its own, because YAML would read some hexadecimal numbers as numbers.
	return "leak-" + hex.EncodeToString(key[:8]), nil
}
