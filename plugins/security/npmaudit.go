package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-ci/penstock/gates"
)

// maxReport bounds what is read of one report or lock file: far above any real one.
const maxReport = 128 << 20

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxReport+1))
	if err == nil && len(content) > maxReport {
		err = fmt.Errorf("it is larger than %d MiB", maxReport>>20)
	}
	return content, err
}

// parseAudit reads what a package manager's audit printed as JSON: npm's since version 7, the older one of npm 6, pnpm and
// Yarn 2 and 3, or the lines of Yarn 1. A refusal of the registry is an error, as is anything of another shape: an answer
// that was not understood must not read as "nothing found".
func parseAudit(content []byte) ([]vulnerability, error) {
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("it is empty")
	}
	var shape struct {
		AuditReportVersion int             `json:"auditReportVersion"`
		Vulnerabilities    json.RawMessage `json:"vulnerabilities"`
		Advisories         json.RawMessage `json:"advisories"`
		Metadata           *auditMetadata  `json:"metadata"`
		Type               string          `json:"type"`
		Error              json.RawMessage `json:"error"`
		Message            string          `json:"message"`
	}
	// Yarn 1 prints a line of JSON for each thing that it has to say.
	first := json.NewDecoder(bytes.NewReader(content))
	if err := first.Decode(&shape); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if _, err := first.Token(); shape.Type == "" && !errors.Is(err, io.EOF) {
		return nil, errors.New("it is more than one answer: write each into a report of its own")
	}
	switch {
	case shape.AuditReportVersion == 2 && len(shape.Vulnerabilities) > 0 && shape.Metadata.counts():
		return parseNPMAudit(shape.Vulnerabilities, shape.Metadata)
	case shape.AuditReportVersion == 2:
		return nil, errors.New("it does not say what it counted, so it is not whole")
	case shape.AuditReportVersion != 0:
		return nil, fmt.Errorf("its format, version %d, is not known here", shape.AuditReportVersion)
	case len(shape.Advisories) > 0 && shape.Metadata.counts():
		return parseAdvisories(shape.Advisories, shape.Metadata)
	case shape.Type != "":
		return parseYarnAudit(content)
	case len(shape.Error) > 0 || shape.Message != "":
		return nil, refusal(shape.Error, shape.Message)
	default:
		return nil, errors.New("it has none of the known formats")
	}
}

// auditMetadata counts what was found, by the package manager's own reckoning.
type auditMetadata struct {
	Vulnerabilities map[string]int `json:"vulnerabilities"`
}

// counts reports whether anything was counted at all, be it nothing of everything.
func (m *auditMetadata) counts() bool { return m != nil && len(m.Vulnerabilities) > 0 }

func (m *auditMetadata) total() int {
	total := 0
	for _, severity := range severities {
		total += m.Vulnerabilities[severity]
	}
	return total
}

var address = regexp.MustCompile(`https?://\S+`)

// refusal says how the registry refused, without its address: that may hold a token.
func refusal(detail json.RawMessage, message string) error {
	var said struct{ Code, Summary, Detail string }
	if json.Unmarshal(detail, &said) == nil {
		message = cmp.Or(said.Summary, said.Detail, message, said.Code)
	}
	message, _, _ = strings.Cut(strings.TrimSpace(address.ReplaceAllString(message, "…")), "\n")
	return fmt.Errorf("the registry refused: %s", cmp.Or(message, "it does not say why"))
}

// parseNPMAudit reads the vulnerabilities of npm 7 and later: one entry for each affected package, whose "via" holds
// advisories, and the names of packages through which it is affected.
func parseNPMAudit(text json.RawMessage, metadata *auditMetadata) ([]vulnerability, error) {
	var packages map[string]struct {
		Severity     string            `json:"severity"`
		Via          []json.RawMessage `json:"via"`
		Nodes        []string          `json:"nodes"`
		FixAvailable json.RawMessage   `json:"fixAvailable"`
	}
	if err := json.Unmarshal(text, &packages); err != nil {
		return nil, fmt.Errorf("its vulnerabilities cannot be read: %w", err)
	}
	var found []vulnerability
	if total := metadata.total(); total != len(packages) {
		return nil, fmt.Errorf("it counts %s and lists %d: something is missing", gates.Counted(total, "package"), len(packages))
	}
	for name, entry := range packages {
		if len(entry.Via) == 0 {
			return nil, fmt.Errorf("it does not say why %s is affected", name)
		}
		for _, via := range entry.Via {
			var advisory struct {
				Source   json.Number `json:"source"`
				Name     string      `json:"name"`
				Title    string      `json:"title"`
				URL      string      `json:"url"`
				Severity string      `json:"severity"`
				Range    string      `json:"range"`
			}
			var through string
			if json.Unmarshal(via, &through) == nil {
				if _, listed := packages[through]; !listed {
					return nil, fmt.Errorf("%s is affected through %s, of which it says nothing", name, through)
				}
				continue
			}
			if err := json.Unmarshal(via, &advisory); err != nil || advisory.Name == "" {
				return nil, errors.New("one of its advisories cannot be read")
			}
			one := vulnerability{
				name: advisory.Name, affected: advisory.Range, severity: severityOf(advisory.Severity), title: advisory.Title, url: advisory.URL,
				paths: packages[advisory.Name].Nodes, fix: fixOf(entry.FixAvailable),
			}
			one.id, one.aliases = advisoryNames(advisory.URL, advisory.Source.String())
			found = append(found, one)
		}
	}
	if len(found) == 0 && len(packages) > 0 {
		return nil, errors.New("it lists packages and no advisory about them")
	}
	return found, nil
}

// fixOf understands false, true and {"name": …, "version": …, "isSemVerMajor": …}.
func fixOf(text json.RawMessage) string {
	var fix struct {
		Name          string `json:"name"`
		Version       string `json:"version"`
		IsSemVerMajor bool   `json:"isSemVerMajor"`
	}
	switch {
	case string(text) == "true":
		return "`npm audit fix` mends it"
	case json.Unmarshal(text, &fix) != nil || fix.Version == "":
		return ""
	case fix.IsSemVerMajor:
		return fmt.Sprintf("mended by %s %s, which is a new major version", fix.Name, fix.Version)
	default:
		return fmt.Sprintf("mended by %s %s", fix.Name, fix.Version)
	}
}

var ghsa = regexp.MustCompile(`GHSA(-[0-9a-z]{4}){3}`)

// advisoryNames finds the advisory's public name in its address; the registry's own number is the other one.
func advisoryNames(url, number string) (id string, aliases []string) {
	if public := ghsa.FindString(url); public != "" {
		return public, []string{number}
	}
	return number, nil
}

// advisory is one of npm 6, pnpm and Yarn.
type advisory struct {
	ID       json.Number `json:"id"`
	GHSA     string      `json:"github_advisory_id"`
	CVEs     []string    `json:"cves"`
	Module   string      `json:"module_name"`
	Severity string      `json:"severity"`
	Title    string      `json:"title"`
	URL      string      `json:"url"`
	Affected string      `json:"vulnerable_versions"`
	Patched  string      `json:"patched_versions"`
	Findings []struct {
		Version string   `json:"version"`
		Paths   []string `json:"paths"`
	} `json:"findings"`
}

func (a *advisory) vulnerability() (vulnerability, error) {
	if a.Module == "" {
		return vulnerability{}, errors.New("one of its advisories cannot be read")
	}
	found := vulnerability{
		name: a.Module, affected: a.Affected, severity: severityOf(a.Severity), title: a.Title, url: a.URL,
	}
	found.id, found.aliases = advisoryNames(a.GHSA+" "+a.URL, a.ID.String())
	found.aliases = append(found.aliases, a.CVEs...)
	// "<0.0.0" is how they write that there is none.
	if a.Patched != "" && !strings.HasPrefix(a.Patched, "<") {
		found.fix = "mended in " + a.Patched
	}
	for _, finding := range a.Findings {
		if finding.Version != "" && !slices.Contains(found.versions, finding.Version) {
			found.versions = append(found.versions, finding.Version)
		}
		found.paths = append(found.paths, finding.Paths...)
	}
	return found, nil
}

func parseAdvisories(text json.RawMessage, metadata *auditMetadata) ([]vulnerability, error) {
	var advisories map[string]advisory
	if err := json.Unmarshal(text, &advisories); err != nil {
		return nil, fmt.Errorf("its advisories cannot be read: %w", err)
	}
	var found []vulnerability
	for _, advisory := range advisories {
		one, err := advisory.vulnerability()
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	if total := metadata.total(); total > 0 && len(found) == 0 {
		return nil, fmt.Errorf("it counts %d and lists none", total)
	}
	return found, nil
}

// parseYarnAudit reads Yarn 1's lines. The summary comes last; without it Yarn was interrupted or refused.
func parseYarnAudit(content []byte) ([]vulnerability, error) {
	var found []vulnerability
	var summary *auditMetadata
	decoder := json.NewDecoder(bytes.NewReader(content))
	for number := 1; ; number++ {
		var line struct {
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		err := decoder.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New("its entry " + strconv.Itoa(number) + " is not JSON")
		}
		switch line.Type {
		case "auditAdvisory":
			var data struct {
				Advisory advisory `json:"advisory"`
			}
			if err := json.Unmarshal(line.Data, &data); err != nil {
				return nil, fmt.Errorf("its entry %d cannot be read: %w", number, err)
			}
			one, err := data.Advisory.vulnerability()
			if err != nil {
				return nil, err
			}
			found = append(found, one)
		case "auditSummary":
			summary = &auditMetadata{}
			if err := json.Unmarshal(line.Data, summary); err != nil {
				return nil, fmt.Errorf("its summary cannot be read: %w", err)
			}
		case "error":
			var message string
			_ = json.Unmarshal(line.Data, &message) // without words it is a refusal all the same
			return nil, refusal(nil, message)
		}
	}
	switch {
	case !summary.counts():
		return nil, errors.New("it has no summary, so it is not whole")
	case summary.total() > 0 && len(found) == 0:
		return nil, fmt.Errorf("it counts %d and lists none", summary.total())
	}
	return found, nil
}
