package runtime

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	//go:embed entry.js
	entryWorker []byte
	//go:embed trace.js
	traceWorker []byte
)

// wiring is what a plan must know about the Runtime.
type wiring struct {
	dataPlane string // host:port
	secret    string // of the data plane
	objects   string // absolute path of the folder with Durable Object storage
}

// plan is everything that one workerd for one script consists of, before it is written to disk.
type plan struct {
	config  string
	files   []planFile // embedded by config, relative to it
	env     []string   // secrets, NAME=value
	sockets []string
	keys    []string // unique keys of the Durable Object classes whose storage it opens
}

type planFile struct {
	name string
	body []byte
}

const (
	entrySocket   = "entry"
	entryKeyEnv   = "PENSTOCK_KEY"
	headerSecret  = "x-penstock-secret"
	headerBinding = "x-penstock-binding"
	headerCF      = "x-penstock-cf" // carries request.cf; workerd removes it before the worker sees the request
	// entryDate is the compatibility date that our own workers were written for.
	entryDate = "2025-01-01"
)

// safeUniqueKey is what may name a storage folder.
var safeUniqueKey = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}$`)

// planner turns a Script into a plan.
type planner struct {
	script    Script
	wiring    wiring
	inMemory  bool // Durable Objects keep nothing: a trial start that must not open storage
	externals map[string]bool
	secrets   []string
	files     []planFile
}

// planScript lays out one workerd that serves all versions of the script, each as a service and a socket of its own,
// named by the version's ID. The same script gives the same plan. Errors are *UnsupportedError.
func planScript(s Script, w wiring, inMemory bool) (*plan, error) {
	p := &planner{script: s, wiring: w, inMemory: inMemory, externals: map[string]bool{}}
	versions := slices.Clone(s.Versions)
	slices.SortStableFunc(versions, func(a, b Version) int { return a.Number - b.Number })

	owners, err := p.owners(versions)
	if err != nil {
		return nil, err
	}
	result := &plan{sockets: []string{entrySocket}}
	var services, sockets, entryBindings []string
	for i, v := range versions {
		service, err := p.worker(i, v, owners)
		if err != nil {
			return nil, err
		}
		services = append(services, service)
		sockets = append(sockets, fmt.Sprintf("(name = %s, address = \"127.0.0.1:0\", "+
			"http = (cfBlobHeader = %s, forwardedProtoHeader = \"x-forwarded-proto\"), service = %s)",
			capnpText(v.ID), capnpText(headerCF), capnpText(v.ID)))
		entryBindings = append(entryBindings, fmt.Sprintf("(name = %s, service = %s)", capnpText(v.ID), capnpText(v.ID)))
		result.sockets = append(result.sockets, v.ID)
	}
	trace := traceService(p.refer("trace:" + s.Name))
	for _, external := range slices.Sorted(maps.Keys(p.externals)) {
		services = append(services, p.external(external))
	}
	services = append(services,
		`(name = "internet", network = (allow = ["public"], tlsOptions = (trustBrowserCas = true)))`,
		trace, entryService(entryBindings))
	if len(owners) > 0 {
		for _, o := range owners {
			result.keys = append(result.keys, o.class.UniqueKey)
		}
		slices.Sort(result.keys)
		if !inMemory {
			services = append(services, fmt.Sprintf("(name = \"objects\", disk = (path = %s, writable = true))",
				capnpText(w.objects)))
		}
	}
	sockets = append(sockets, `(name = "entry", address = "127.0.0.1:0", service = "entry")`)
	p.files = append(p.files, planFile{name: "entry.js", body: entryWorker}, planFile{name: "trace.js", body: traceWorker})

	result.config = "using Workerd = import \"/workerd/workerd.capnp\";\n" +
		"const config :Workerd.Config = (\n" +
		"  services = " + capnpList("  ", services) + ",\n" +
		"  sockets = " + capnpList("  ", sockets) + ",\n" +
		");\n"
	result.files = p.files
	for i, value := range p.secrets {
		result.env = append(result.env, secretEnv(i)+"="+value)
	}
	return result, nil
}

func entryService(bindings []string) string {
	bindings = append(slices.Clone(bindings), fmt.Sprintf("(name = \"KEY\", fromEnvironment = %s)", capnpText(entryKeyEnv)))
	return "(name = \"entry\", worker = (\n" +
		"      modules = [(name = \"entry.js\", esModule = embed \"entry.js\")],\n" +
		"      compatibilityDate = " + capnpText(entryDate) + ",\n" +
		"      compatibilityFlags = [\"service_binding_extra_handlers\"],\n" +
		"      bindings = " + capnpList("      ", bindings) + "))"
}

// owner is the version whose code runs a Durable Object class.
type owner struct {
	version string
	class   DurableObjectClass
}

// owners gives each bound class to the newest version that binds it: storage has one owner, the other versions reach its
// objects. Cloudflare assigns whole objects to versions by percentage instead, which one process cannot.
func (p *planner) owners(versions []Version) (map[string]owner, error) {
	classes := map[string]DurableObjectClass{}
	for _, c := range p.script.DurableObjects {
		if !safeUniqueKey.MatchString(c.UniqueKey) {
			return nil, p.refuse(Version{}, Binding{}, fmt.Sprintf("the unique key %q of class %s cannot name a folder; "+
				"use letters, digits, '-' and '_'", c.UniqueKey, c.ClassName))
		}
		classes[c.ClassName] = c
	}
	owners := map[string]owner{}
	for _, v := range versions {
		for _, b := range v.Bindings {
			if b.Type != "durable_object_namespace" || !p.own(b) {
				continue
			}
			class, ok := classes[b.ClassName]
			if !ok {
				return nil, p.refuse(v, b, "no migration created the class "+b.ClassName+
					"; add it to new_sqlite_classes in the wrangler config")
			}
			owners[b.ClassName] = owner{version: v.ID, class: class}
		}
	}
	return owners, nil
}

func (p *planner) own(b Binding) bool { return b.ScriptName == "" || b.ScriptName == p.script.Name }

func (p *planner) worker(index int, v Version, owners map[string]owner) (string, error) {
	modules, err := p.modules(index, v)
	if err != nil {
		return "", err
	}
	var bindings []string
	for _, b := range v.Bindings {
		value, err := p.binding(v, b, owners)
		if err != nil {
			return "", err
		}
		bindings = append(bindings, fmt.Sprintf("(name = %s, %s)", capnpText(b.Name), value))
	}
	var namespaces []string
	for _, class := range slices.Sorted(maps.Keys(owners)) {
		o := owners[class]
		if o.version == v.ID {
			namespaces = append(namespaces, fmt.Sprintf("(className = %s, uniqueKey = %s, enableSql = %t)",
				capnpText(class), capnpText(o.class.UniqueKey), o.class.SQL))
		}
	}
	p.externals["cache:"] = true
	fields := []string{
		"modules = " + capnpList("      ", modules),
		"compatibilityDate = " + capnpText(v.CompatibilityDate),
		"compatibilityFlags = " + capnpTexts(v.CompatibilityFlags),
		"bindings = " + capnpList("      ", bindings),
		"cacheApiOutbound = \"cache:\"",
		tailsOf(v.ID),
	}
	if len(namespaces) > 0 {
		storage := `(localDisk = "objects")`
		if p.inMemory {
			storage = `(inMemory = void)`
		}
		fields = append(fields, "durableObjectNamespaces = "+capnpList("      ", namespaces),
			"durableObjectStorage = "+storage)
	}
	return fmt.Sprintf("(name = %s, worker = (\n      %s))", capnpText(v.ID), strings.Join(fields, ",\n      ")), nil
}

// modules lists the version's files, the main one first as workerd wants it.
func (p *planner) modules(index int, v Version) ([]string, error) {
	if v.CompatibilityDate == "" {
		return nil, p.refuse(v, Binding{}, "the version has no compatibility date; set compatibility_date in the wrangler config")
	}
	var main, others []string
	for i, m := range v.Modules {
		kind, err := p.moduleKind(v, m)
		if err != nil {
			return nil, err
		}
		if kind == "" {
			continue
		}
		file := fmt.Sprintf("v%d-m%d", index, i)
		p.files = append(p.files, planFile{name: file, body: m.Body})
		// Uploads name a module as the importing file wrote it, "./a.wasm"; workerd resolves to names without the dot.
		entry := fmt.Sprintf("(name = %s, %s = embed %s)", capnpText(path.Clean(m.Name)), kind, capnpText(file))
		if m.Name == v.MainModule {
			main = append(main, entry)
		} else {
			others = append(others, entry)
		}
	}
	if len(main) != 1 {
		return nil, p.refuse(v, Binding{}, fmt.Sprintf("the main module %q is not among the uploaded files; "+
			"only workers written as ES modules can be run", v.MainModule))
	}
	return append(main, others...), nil
}

// moduleKind maps an uploaded part's content type to workerd's kind of module; empty means that the part is no module.
func (p *planner) moduleKind(v Version, m Module) (string, error) {
	kind, _, _ := strings.Cut(m.ContentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/javascript+module", "text/javascript+module":
		return "esModule", nil
	case "application/javascript", "text/javascript":
		return "commonJsModule", nil
	case "application/wasm":
		return "wasm", nil
	case "text/plain":
		return "text", nil
	case "application/json":
		return "json", nil
	case "application/octet-stream":
		return "data", nil
	case "application/source-map":
		return "", nil
	}
	return "", p.refuse(v, Binding{}, fmt.Sprintf("the module %s has the content type %q, which cannot be run here; "+
		"use ES modules, text, JSON, data or Wasm", m.Name, m.ContentType))
}

// binding writes the value of one binding. What cannot be provided is an error: code that finds a binding missing fails
// far from the cause.
func (p *planner) binding(v Version, b Binding, owners map[string]owner) (string, error) {
	switch b.Type {
	case "plain_text":
		return "text = " + capnpText(b.Text), nil
	case "secret_text":
		if strings.ContainsRune(b.Text, 0) {
			return "", p.refuse(v, b, "its value holds a NUL byte, which no environment variable can carry; encode it")
		}
		p.secrets = append(p.secrets, b.Text)
		return "fromEnvironment = " + capnpText(secretEnv(len(p.secrets)-1)), nil
	case "json":
		if !json.Valid(b.JSON) {
			return "", p.refuse(v, b, "its value is not valid JSON; upload the version again")
		}
		return "json = " + capnpText(string(b.JSON)), nil
	case "version_metadata":
		value, err := json.Marshal(map[string]string{
			"id": v.ID, "tag": v.Tag, "timestamp": v.CreatedAt.UTC().Format(time.RFC3339Nano),
		})
		if err != nil {
			return "", fmt.Errorf("encode version metadata: %w", err)
		}
		return "json = " + capnpText(string(value)), nil
	case "kv_namespace":
		return "kvNamespace = " + p.refer("kv:"+b.NamespaceID), nil
	case "r2_bucket":
		return "r2Bucket = " + p.refer("r2:"+b.BucketName), nil
	case "queue":
		return "queue = " + p.refer("queue:"+b.QueueName), nil
	case "d1":
		return "wrapped = (moduleName = \"cloudflare-internal:d1-api\", innerBindings = [(name = \"fetcher\", service = " +
			p.refer("d1:"+b.DatabaseID) + ")])", nil
	case "assets":
		if v.Assets == nil {
			return "", p.refuse(v, b, "the version has no static assets; set assets.directory in the wrangler config")
		}
		return "service = " + p.refer("assets:"+p.script.Name+"/"+v.ID), nil
	case "vectorize":
		return p.vectorize(b), nil
	case "ai":
		return "wrapped = (moduleName = \"cloudflare-internal:ai-api\", innerBindings = [(name = \"fetcher\", service = " + p.refer("ai:") + ")])", nil
	case "service":
		return p.service(v, b)
	case "durable_object_namespace":
		if !p.own(b) {
			return "", p.refuse(v, b, "it belongs to the script "+b.ScriptName+", and each script here runs in a process "+
				"of its own; bind that script as a service and let it call the object")
		}
		o := owners[b.ClassName]
		if o.version == v.ID {
			return "durableObjectNamespace = " + capnpText(b.ClassName), nil
		}
		return fmt.Sprintf("durableObjectNamespace = (className = %s, serviceName = %s)",
			capnpText(b.ClassName), capnpText(o.version)), nil
	}
	return "", p.refuse(v, b, "there is no such service on this machine; take it out of the local environment's wrangler "+
		"config, or deploy to a Cloudflare account")
}

func (p *planner) service(v Version, b Binding) (string, error) {
	if b.Service == p.script.Name {
		if b.Entrypoint == "" {
			return "service = " + capnpText(v.ID), nil
		}
		return fmt.Sprintf("service = (name = %s, entrypoint = %s)", capnpText(v.ID), capnpText(b.Entrypoint)), nil
	}
	if b.Entrypoint != "" {
		return "", p.refuse(v, b, "its entrypoint "+b.Entrypoint+" is in another script, which is reached by HTTP only; "+
			"bind the default entrypoint and use fetch()")
	}
	return "service = " + p.refer("service:"+b.Service), nil
}

// refer names an external service and makes sure that it is defined.
func (p *planner) refer(resource string) string {
	p.externals[resource] = true
	return capnpText(resource)
}

// external defines a service that is the data plane, told which resource is meant by a header that the worker cannot set.
func (p *planner) external(resource string) string {
	options := ""
	if strings.HasPrefix(resource, "service:") {
		options = "forwardedProtoHeader = \"x-forwarded-proto\", " // tells the scheme of the URL that the worker asked for
	}
	return fmt.Sprintf("(name = %s, external = (address = %s, http = (%sinjectRequestHeaders = ["+
		"(name = %s, value = %s), (name = %s, value = %s)])))",
		capnpText(resource), capnpText(p.wiring.dataPlane), options,
		capnpText(headerSecret), capnpText(p.wiring.secret), capnpText(headerBinding), capnpText(resource))
}

func (p *planner) refuse(v Version, b Binding, reason string) error {
	return &UnsupportedError{Script: p.script.Name, Version: v.ID, Binding: b.Name, Type: b.Type, Reason: reason}
}

func secretEnv(i int) string { return "PENSTOCK_SECRET_" + strconv.Itoa(i) }

// fingerprint is equal for plans that run the same thing. It covers the secrets without revealing them.
func (p *plan) fingerprint() string {
	h := sha256.New()
	part := func(b []byte) { fmt.Fprintf(h, "%d:", len(b)); h.Write(b) }
	part([]byte(p.config))
	for _, f := range p.files {
		part([]byte(f.name))
		part(f.body)
	}
	for _, e := range p.env {
		part([]byte(e))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// write puts the plan into dir, which it creates for this user only, and returns the path of the config.
func (p *plan) write(dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("create a folder for workerd's configuration: %w", err)
	}
	config := filepath.Join(dir, "config.capnp")
	files := append([]planFile{{name: "config.capnp", body: []byte(p.config)}}, p.files...)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.body, 0o600); err != nil {
			return "", fmt.Errorf("write workerd's configuration: %w", err)
		}
	}
	return config, nil
}
