package localcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) zoneSettingRoutes() []route {
	return []route{
		{"GET /zones/{zone}/settings", c.listZoneSettings},
		{"PATCH /zones/{zone}/settings", c.patchZoneSettings},
		{"GET /zones/{zone}/settings/{setting}", c.getZoneSetting},
		{"PATCH /zones/{zone}/settings/{setting}", c.patchZoneSetting},
	}
}

// zoneSetting is one setting that a zone has: its value at first, and what it can become.
type zoneSetting struct {
	first   string   // JSON
	choices []string // texts; nil: an object that check reads
	check   func(value json.RawMessage) error
}

// zoneSettingKinds are the settings that mean something here, with Cloudflare's names and defaults: the first four and
// security_header are obeyed by the edge, the others are kept.
// Source: https://developers.cloudflare.com/api/resources/zones/subresources/settings/
var zoneSettingKinds = map[string]zoneSetting{
	"always_use_https":         {first: `"off"`, choices: []string{"on", "off"}},
	"ssl":                      {first: `"full"`, choices: []string{"off", "flexible", "full", "strict"}},
	"min_tls_version":          {first: `"1.0"`, choices: []string{"1.0", "1.1", "1.2", "1.3"}},
	"tls_1_3":                  {first: `"on"`, choices: []string{"on", "off", "zrt"}},
	"security_header":          {first: `{"strict_transport_security":{"enabled":false,"max_age":0,"include_subdomains":false,"preload":false,"nosniff":false}}`, check: checkTransportSecurity},
	"automatic_https_rewrites": {first: `"on"`, choices: []string{"on", "off"}},
	"http2":                    {first: `"on"`, choices: []string{"on", "off"}},
}

// transportSecurity is the value of security_header.
type transportSecurity struct {
	Header struct {
		Enabled           bool `json:"enabled"`
		MaxAge            int  `json:"max_age"`
		IncludeSubdomains bool `json:"include_subdomains"`
		Preload           bool `json:"preload"`
		NoSniff           bool `json:"nosniff"`
	} `json:"strict_transport_security"`
}

func checkTransportSecurity(value json.RawMessage) error {
	read := transportSecurity{}
	if err := json.Unmarshal(value, &read); err != nil {
		return err
	}
	if read.Header.MaxAge < 0 {
		return fmt.Errorf("max_age must not be negative")
	}
	return nil
}

// header is what it adds to an answer by HTTPS.
func (t transportSecurity) header() string {
	text := fmt.Sprintf("max-age=%d", t.Header.MaxAge)
	if t.Header.IncludeSubdomains {
		text += "; includeSubDomains"
	}
	if t.Header.Preload {
		text += "; preload"
	}
	return text
}

// zoneSettings are the values in force, by name.
func (c *Cloud) zoneSettings(ctx context.Context, zone string) (map[string]store.ZoneSetting, error) {
	changed, err := c.store.ZoneSettings(ctx, zone)
	if err != nil {
		return nil, err
	}
	settings := map[string]store.ZoneSetting{}
	for name, kind := range zoneSettingKinds {
		settings[name] = store.ZoneSetting{Value: json.RawMessage(kind.first)}
	}
	maps.Copy(settings, changed)
	return settings, nil
}

// settingText is a setting's value when that is a text.
func settingText(setting store.ZoneSetting) string {
	var text string
	_ = json.Unmarshal(setting.Value, &text) // an object is no text
	return text
}

func describeZoneSetting(name string, setting store.ZoneSetting) map[string]any {
	described := map[string]any{"id": name, "value": setting.Value, "editable": true, "modified_on": nil}
	if !setting.ModifiedAt.IsZero() {
		described["modified_on"] = setting.ModifiedAt
	}
	return described
}

func noZoneSetting(name string) error {
	return refuse(http.StatusBadRequest, codeZoneSetting, "Undefined zone setting: %s", name)
}

func (c *Cloud) listZoneSettings(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	settings, err := c.zoneSettings(r.Context(), zone.ID)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		out = append(out, describeZoneSetting(name, settings[name]))
	}
	return ok(out), nil
}

func (c *Cloud) getZoneSetting(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	settings, err := c.zoneSettings(r.Context(), zone.ID)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("setting")
	setting, known := settings[name]
	if !known {
		return nil, noZoneSetting(name)
	}
	return ok(describeZoneSetting(name, setting)), nil
}

func (c *Cloud) patchZoneSetting(w http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Value json.RawMessage `json:"value"`
	}](r)
	if err != nil {
		return nil, err
	}
	if err := c.setZoneSettings(r.Context(), zone, map[string]json.RawMessage{r.PathValue("setting"): request.Value}); err != nil {
		return nil, err
	}
	return c.getZoneSetting(w, r)
}

func (c *Cloud) patchZoneSettings(w http.ResponseWriter, r *http.Request) (*answer, error) {
	zone, err := c.zone(r)
	if err != nil {
		return nil, err
	}
	request, err := decode[struct {
		Items []struct {
			ID    string          `json:"id"`
			Value json.RawMessage `json:"value"`
		} `json:"items"`
	}](r)
	if err != nil {
		return nil, err
	}
	values := map[string]json.RawMessage{}
	for _, item := range request.Items {
		values[item.ID] = item.Value
	}
	if err := c.setZoneSettings(r.Context(), zone, values); err != nil {
		return nil, err
	}
	return c.listZoneSettings(w, r)
}

func (c *Cloud) setZoneSettings(ctx context.Context, zone store.Zone, values map[string]json.RawMessage) error {
	for name, value := range values {
		kind, known := zoneSettingKinds[name]
		if !known {
			return noZoneSetting(name)
		}
		if kind.check != nil {
			if err := kind.check(value); err != nil {
				return refuse(http.StatusBadRequest, codeZoneSettingValue, "Invalid value for zone setting %s: %v", name, err)
			}
		} else if text := settingText(store.ZoneSetting{Value: value}); !slices.Contains(kind.choices, text) {
			return refuse(http.StatusBadRequest, codeZoneSettingValue, "Invalid value for zone setting %s: %s; it must be one of %s",
				name, value, strings.Join(kind.choices, ", "))
		}
	}
	return c.store.SetZoneSettings(ctx, zone.ID, values, now())
}
