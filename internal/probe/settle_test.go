package probe

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/pipelines"
)

type answers func() int

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a(), Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// An app that does not show its version is not believed while the version before may still be answering.
func TestARightAnswerOfNobodyKnowsWhomIsNotBelievedAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		old time.Duration // for so long the version before answers, and well; the new one does not
		ok  bool
	}{"the old one answers for a moment": {500 * time.Millisecond, false}, "there is none": {time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				prober := HTTP{Transport: answers(func() int {
					if time.Since(began) < test.old {
						return 200
					}
					return 500
				})}
				report, err := prober.Probe(t.Context(), promotion.Address{URL: "http://app.test"}, green, paths(pipelines.ProofIfShown, pipelines.Probe{Path: "/", Status: 200}))
				if err != nil || report.OK != test.ok {
					t.Errorf("%+v, %v", report, err)
				}
			})
		})
	}
}
