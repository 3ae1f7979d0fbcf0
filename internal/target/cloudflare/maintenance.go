package cloudflare

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock-ci/penstock/internal/promotion"
	"github.com/penstock-ci/penstock/internal/target/cloudflare/api"
	"github.com/penstock-ci/penstock/internal/wrangler"
)

//go:embed maintenance.js
var maintenanceCode string

// Notice is what people are told while the app is out of service.
type Notice struct {
	Message    string
	RetryAfter time.Duration
}

// Maintenance is in which way the app is out of service; all empty when it is not. It is read from the account, so that any
// machine can end what another began, also after a crash in the middle.
type Maintenance struct {
	// Routes and Domains lead to the maintenance Worker.
	Routes  []string `json:"routes,omitempty"`
	Domains []string `json:"domains,omitempty"`
	// Version is a maintenance version of the Worker itself, and Before what it took the place of: for a Worker that no
	// route leads to.
	Version string            `json:"version,omitempty"`
	Before  []promotion.Share `json:"before,omitempty"`
	// Tables are those that refuse to be written, as DATABASE.TABLE.
	Tables []string `json:"tables,omitempty"`
}

// On reports whether anything is out of service.
func (m Maintenance) On() bool {
	return len(m.Routes)+len(m.Domains)+len(m.Tables) > 0 || m.Version != ""
}

// maintenanceWorker is the Worker to which routes lead meanwhile.
func (t *Target) maintenanceWorker() string {
	return t.Worker.Name + "-maintenance"
}

// maintenanceMark begins the message of a deployment of a maintenance version; the shares before it follow.
const maintenanceMark = "penstock maintenance; before it: "

var markedShares = regexp.MustCompile(`([0-9a-zA-Z-]{8,}) at ([0-9.]+)`)

// ownRoute is a route in a zone.
type ownRoute struct {
	zone  string
	route api.RawRoute
}

// routesTo lists the routes that lead to a Worker, in every zone in which the config has routes.
func (t *Target) routesTo(ctx context.Context, script string) ([]ownRoute, error) {
	var found []ownRoute
	var seen []string
	for _, route := range t.Worker.AllRoutes() {
		if route.CustomDomain {
			continue
		}
		zone, err := t.zone(ctx, route)
		if err != nil {
			return nil, err
		}
		if slices.Contains(seen, zone) {
			continue
		}
		seen = append(seen, zone)
		routes, err := t.api.RawRoutes(ctx, zone)
		if err != nil {
			return nil, fmt.Errorf("read the routes of %s: %w", route.Pattern, err)
		}
		for _, raw := range routes {
			if raw.Text("script") == script {
				found = append(found, ownRoute{zone, raw})
			}
		}
	}
	return found, nil
}

// Maintenance looks in which way the app is out of service.
func (t *Target) Maintenance(ctx context.Context) (Maintenance, error) {
	m, err := t.suspended(ctx)
	if err != nil {
		return m, err
	}
	err = t.eachDatabase(ctx, func(_ wrangler.D1Database, id, name string) error {
		guards, err := t.guards(ctx, id, name)
		for _, guard := range guards {
			if table := name + "." + guard.table; !slices.Contains(m.Tables, table) {
				m.Tables = append(m.Tables, table)
			}
		}
		return err
	})
	return m, err
}

// InMaintenance implements promotion.Rewinder. Databases that are read-only are not meant: people get the app all the same.
func (t *Target) InMaintenance(ctx context.Context) (bool, error) {
	m, err := t.suspended(ctx)
	return m.On(), err
}

// suspended looks what people get instead of the app.
func (t *Target) suspended(ctx context.Context) (Maintenance, error) {
	var m Maintenance
	routes, err := t.routesTo(ctx, t.maintenanceWorker())
	if err != nil {
		return m, err
	}
	for _, own := range routes {
		m.Routes = append(m.Routes, own.route.Text("pattern"))
	}
	domains, err := t.api.CustomDomains(ctx, t.maintenanceWorker())
	if err != nil {
		return m, fmt.Errorf("read the custom domains: %w", err)
	}
	for _, domain := range domains {
		m.Domains = append(m.Domains, domain.Hostname)
	}
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return m, fmt.Errorf("read the deployments of Worker %s: %w", t.Worker.Name, err)
	}
	if len(deployments) > 0 {
		if before, marked := strings.CutPrefix(deployments[0].Annotations.Message, maintenanceMark); marked {
			m.Version = deployments[0].Versions[0].VersionID
			for _, match := range markedShares.FindAllStringSubmatch(before, -1) {
				percentage, err := strconv.ParseFloat(match[2], 64)
				if err != nil {
					return m, fmt.Errorf("the message of the maintenance deployment cannot be read: %q", before)
				}
				m.Before = append(m.Before, promotion.Share{Version: match[1], Percentage: percentage})
			}
		}
	}
	return m, nil
}

// Suspend takes the app out of service: routes and custom domains lead to a maintenance Worker; a Worker that is reached by
// its own address gets a maintenance version with all traffic. What is out of service already stays so.
func (t *Target) Suspend(ctx context.Context, id string, notice Notice) (Maintenance, error) {
	routes, err := t.routesTo(ctx, t.Worker.Name)
	if err != nil {
		return Maintenance{}, err
	}
	domains, err := t.api.CustomDomains(ctx, t.Worker.Name)
	if err != nil {
		return Maintenance{}, fmt.Errorf("read the custom domains of Worker %s: %w", t.Worker.Name, err)
	}
	if len(routes)+len(domains) > 0 {
		if err := t.swap(ctx, notice, routes, domains); err != nil {
			return Maintenance{}, err
		}
	}
	now, err := t.Maintenance(ctx)
	if err != nil || now.Version != "" {
		return now, err
	}
	if !t.ownAddress() {
		if len(now.Routes)+len(now.Domains) == 0 {
			return now, fmt.Errorf("nothing that %s names leads to Worker %s: no route, no custom domain and no address of its own, so that nothing was taken out of service; "+
				"take away what else leads to it in Cloudflare's dashboard", t.ConfigFile, t.Worker.Name)
		}
		return now, nil
	}
	if err := t.suspendWorker(ctx, id, notice); err != nil {
		return Maintenance{}, err
	}
	return t.Maintenance(ctx)
}

// ownAddress says whether people reach the Worker by an address that no route or domain takes away.
func (t *Target) ownAddress() bool { return t.PublicURL != nil || t.onSubdomain() }

// swap leads routes and domains to the maintenance Worker.
func (t *Target) swap(ctx context.Context, notice Notice, routes []ownRoute, domains []api.CustomDomain) error {
	name := t.maintenanceWorker()
	contentType, body, err := maintenanceUpload(notice, map[string]any{"compatibility_date": "2024-09-23"}, nil)
	if err != nil {
		return err
	}
	if err := t.repeatHarmless(ctx, func() error { return t.api.PutScript(ctx, name, contentType, body) }); err != nil {
		return fmt.Errorf("make Worker %s: %w", name, err)
	}
	for _, own := range routes {
		if err := t.lead(ctx, own, name); err != nil {
			return err
		}
	}
	return t.moveDomains(ctx, domains, name)
}

func (t *Target) lead(ctx context.Context, own ownRoute, script string) error {
	err := t.repeatHarmless(ctx, func() error { return t.api.LeadRoute(ctx, own.zone, own.route, script) })
	if err != nil {
		return fmt.Errorf("lead the route %s to Worker %s: %w", own.route.Text("pattern"), script, err)
	}
	return nil
}

// moveDomains takes custom domains from one Worker and gives them to another beside those that it has.
func (t *Target) moveDomains(ctx context.Context, domains []api.CustomDomain, script string) error {
	if len(domains) == 0 {
		return nil
	}
	present, err := t.api.CustomDomains(ctx, script)
	if err != nil {
		return fmt.Errorf("read the custom domains of Worker %s: %w", script, err)
	}
	var origins []api.Origin
	for _, domain := range slices.Concat(present, domains) {
		origins = append(origins, api.Origin{Hostname: domain.Hostname, ZoneID: domain.ZoneID, ZoneName: domain.ZoneName})
	}
	if err := t.repeatHarmless(ctx, func() error { return t.api.SetCustomDomains(ctx, script, origins, true) }); err != nil {
		return fmt.Errorf("lead custom domains to Worker %s: %w", script, err)
	}
	return nil
}

// suspendWorker gives a maintenance version all traffic. Its deployment's message says what was there before, which is all
// that it takes to go back.
func (t *Target) suspendWorker(ctx context.Context, id string, notice Notice) error {
	deployments, err := t.api.Deployments(ctx, t.Worker.Name)
	if err != nil {
		return fmt.Errorf("read the deployments of Worker %s: %w", t.Worker.Name, err)
	}
	if len(deployments) == 0 {
		return fmt.Errorf("Worker %s serves nothing that could be suspended", t.Worker.Name)
	}
	before := shares(deployments[0])
	live, err := t.api.Version(ctx, t.Worker.Name, before[0].Version)
	if err != nil {
		return fmt.Errorf("read version %s: %w", before[0].Version, err)
	}
	tag := "maintenance-" + id
	contentType, body, err := maintenanceUpload(notice, map[string]any{
		"compatibility_date": live.Resources.ScriptRuntime.CompatibilityDate,
		// The secrets stay with the Worker, so that the versions before this one can be deployed again.
		"keep_bindings": []string{"secret_text", "secret_key"},
		"annotations":   map[string]string{"workers/message": promotion.MaintenanceMessage, "workers/tag": tag},
	}, t.finalClasses())
	if err != nil {
		return err
	}
	version := ""
	create := func() error {
		created, err := t.api.CreateVersion(ctx, t.Worker.Name, contentType, body)
		version = created.ID
		return err
	}
	uploaded := func() (bool, error) {
		var err error
		version, err = t.taggedVersion(ctx, tag)
		return version != "", err
	}
	if err := t.lookBeforeRepeating(ctx, create, uploaded); err != nil {
		return fmt.Errorf("upload a maintenance version of Worker %s: %w", t.Worker.Name, err)
	}
	var said []string
	for _, share := range before {
		said = append(said, fmt.Sprintf("%s at %g", share.Version, share.Percentage))
	}
	return t.routeShares(ctx, promotion.Routing{Shares: []promotion.Share{{Version: version, Percentage: 100}}, Message: maintenanceMark + strings.Join(said, ", ")})
}

// routeShares makes shares the deployment and waits until it is shown.
func (t *Target) routeShares(ctx context.Context, routing promotion.Routing) error {
	wanted := routing.Shares
	if err := checkShares(wanted); err != nil {
		return fmt.Errorf("route Worker %s: %w", t.Worker.Name, err)
	}
	shown := func() (bool, error) { return t.routed(ctx, wanted) }
	err := t.deploy(ctx, routing, shown)
	if err == nil {
		err = t.untilShown(ctx, shown)
	}
	if err != nil {
		return fmt.Errorf("route Worker %s: %w", t.Worker.Name, err)
	}
	return nil
}

// Resume puts the app back into service exactly as it was, and makes its databases writable.
func (t *Target) Resume(ctx context.Context) (was Maintenance, err error) {
	if was, err = t.Maintenance(ctx); err != nil {
		return was, err
	}
	if err := t.Unlock(ctx); err != nil {
		return was, err
	}
	if was.Version != "" {
		if len(was.Before) == 0 {
			return was, fmt.Errorf("the maintenance deployment does not say what was live before; choose a version with `penstock rollback --env %s --to VERSION`", t.Environment.Name)
		}
		if err := t.routeShares(ctx, promotion.Routing{Shares: was.Before, Message: "penstock: maintenance is over", Back: true}); err != nil {
			return was, err
		}
	}
	routes, err := t.routesTo(ctx, t.maintenanceWorker())
	if err != nil {
		return was, err
	}
	for _, own := range routes {
		if err := t.lead(ctx, own, t.Worker.Name); err != nil {
			return was, err
		}
	}
	domains, err := t.api.CustomDomains(ctx, t.maintenanceWorker())
	if err != nil {
		return was, fmt.Errorf("read the custom domains: %w", err)
	}
	return was, t.moveDomains(ctx, domains, t.Worker.Name)
}

// maintenanceUpload is the upload body of the maintenance code. classes are Durable Object classes that the Worker has and
// that every version of it must export.
func maintenanceUpload(notice Notice, metadata map[string]any, classes []string) (contentType string, body []byte, err error) {
	code := maintenanceCode
	if len(classes) > 0 {
		code = "import { DurableObject } from \"cloudflare:workers\";\n" + code
	}
	for _, class := range classes {
		if !identifiers.MatchString(class) {
			return "", nil, fmt.Errorf("%q cannot be the name of a Durable Object class", class)
		}
		code += "export class " + class + " extends DurableObject {}\n"
	}
	metadata["main_module"] = "maintenance.js"
	metadata["bindings"] = []binding{
		{"name": encode("PENSTOCK_MESSAGE"), "type": encode("plain_text"), "text": encode(notice.Message)},
		{"name": encode("PENSTOCK_RETRY_AFTER"), "type": encode("plain_text"), "text": encode(strconv.Itoa(int(notice.RetryAfter.Seconds())))},
	}
	return encodeUpload(metadata, []api.Module{{Name: "maintenance.js", Type: "application/javascript+module", Content: []byte(code)}})
}
