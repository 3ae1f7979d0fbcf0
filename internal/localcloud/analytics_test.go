package localcloud

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestAnalyticsCountPerVersion(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	blue := deployed(t, cloud)
	shift(t, cloud, "", blue, 90, added(t, cloud), 10)
	response := request(t, cloud, "POST", "/graphql", bytes.NewReader(good[[]byte](t)(json.Marshal(map[string]any{
		"query":     "query($scriptName: string) { viewer { accounts(filter: {accountTag: $a}) { workersInvocationsAdaptive(limit: 100) { sum { requests errors } } } } }",
		"variables": map[string]any{"scriptName": "hello", "datetimeStart": "2026-01-01T00:00:00Z"},
	}))))
	got := struct {
		Data struct {
			Viewer struct {
				Accounts []struct {
					Invocations []struct {
						Dimensions struct{ ScriptVersion string }
						Sum        struct{ Requests, Errors int }
					} `json:"workersInvocationsAdaptive"`
				}
			}
		}
	}{}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	groups := got.Data.Viewer.Accounts[0].Invocations
	if len(groups) != 2 || groups[0].Dimensions.ScriptVersion != blue || groups[0].Sum.Requests != 10 || groups[1].Sum.Errors != 1 {
		t.Errorf("groups: %+v", groups)
	}
}
