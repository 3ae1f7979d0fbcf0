package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/faults"
)

// Faults are the faults in force, and what each has done.
type Faults struct {
	Seed         uint64             `json:"seed"`
	Calls        []FaultHits        `json:"calls"`
	Propagation  map[string]string  `json:"propagation"`
	Certificates faultsCertificates `json:"certificates"`
}

// FaultHits is one rule: how many calls it matched and how many of them it struck.
type FaultHits struct {
	Call    string `json:"call"`
	Delay   string `json:"delay,omitempty"`
	Status  int    `json:"status,omitempty"`
	Lost    string `json:"lost,omitempty"`
	Matched int    `json:"matched"`
	Struck  int    `json:"struck"`
}

type faultsCertificates struct {
	Delay        string `json:"delay,omitempty"`
	ValidityDays int    `json:"validityDays,omitempty"`
	Refuse       string `json:"refuse,omitempty"`
}

// ShowFaults asks the running local Cloudflare of a folder what goes wrong on purpose; ErrNotRunning when there is none.
func ShowFaults(ctx context.Context, dir string) (Faults, error) {
	return askFaults(ctx, dir, http.MethodGet, nil)
}

// SetFaults replaces what goes wrong by the plan in a file; an empty name ends all faults. A file that is not right changes
// nothing.
func SetFaults(ctx context.Context, dir, file string) (Faults, error) {
	if file == "" {
		return askFaults(ctx, dir, http.MethodDelete, nil)
	}
	plan, err := faults.Read(file)
	if err != nil {
		return Faults{}, err
	}
	text, err := json.Marshal(plan)
	if err != nil {
		return Faults{}, err
	}
	return askFaults(ctx, dir, http.MethodPut, text)
}

func askFaults(ctx context.Context, dir, method string, body []byte) (Faults, error) {
	_, info, err := find(ctx, dir)
	if err != nil {
		return Faults{}, err
	}
	url := strings.TrimSuffix(info.APIURL, "/client/v4") + "/local/faults"
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return Faults{}, err
	}
	request.Header.Set("Authorization", "Bearer "+info.Token)
	response, err := controlClient.Do(request)
	if err != nil {
		return Faults{}, fmt.Errorf("ask the local cloudflare for its faults: %w", err)
	}
	defer response.Body.Close()
	said := struct {
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
		Result Faults `json:"result"`
	}{}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return Faults{}, fmt.Errorf("read the faults of the local cloudflare: %w", err)
	}
	if len(said.Errors) > 0 {
		return Faults{}, errors.New(said.Errors[0].Message)
	}
	return said.Result, nil
}
