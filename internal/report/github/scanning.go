package github

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/google/go-github/v60/github"

	"github.com/penstock-ci/penstock/internal/report/sarif"
)

// putScanning queues the findings for code scanning. They are sent also when there are none: that closes what was found
// before. A run whose gates were not all asked says nothing, because what it did not look for is not gone.
func (r *Reporter) putScanning() {
	a := &r.account
	if !strings.HasPrefix(r.options.Place.Ref, "refs/") || r.options.Place.Tried == "" {
		return // a commit without a branch, tag or pull request has no place there
	}
	asked := false
	for _, gate := range a.Gates {
		if gate.Phase != "build" {
			continue
		}
		if gate.Verdict == nil {
			return
		}
		asked = true
	}
	if !asked {
		return
	}
	text, _, err := sarif.Findings(a, r.options.Folder, "penstock/"+a.Info.Environment, r.options.Version)
	if err != nil {
		return // own structs of strings and numbers: there is nothing that could fail
	}
	packed, err := pack(text)
	if err != nil {
		return
	}
	started := github.Timestamp{Time: a.Started.UTC()}
	r.put("sarif", "findings for code scanning", string(text), func(ctx context.Context, _ int) error {
		_, _, err := r.client.CodeScanning.UploadSarif(ctx, r.owner, r.name, &github.SarifAnalysis{
			CommitSHA: &r.options.Place.Tried, Ref: &r.options.Place.Ref, Sarif: &packed, StartedAt: &started, ToolName: github.String("Penstock"),
		})
		var accepted *github.AcceptedError
		if errors.As(err, &accepted) {
			return nil
		}
		return err
	})
}

// pack is what the API wants: base64 of gzip.
func pack(text []byte) (string, error) {
	var out bytes.Buffer
	packer := gzip.NewWriter(&out)
	if _, err := packer.Write(text); err != nil {
		return "", err
	}
	if err := packer.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}
