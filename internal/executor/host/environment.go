package host

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// environment is what stages get of this process's environment: an allow-list, so that a token that happens to be
// exported in a shell is not in the hands of every package's install script.
type environment struct {
	vars    map[string]string
	path    string            // for PATH, without the app's own folder
	secrets map[string]string // values among vars that must not be shown
	exts    string            // PATHEXT on Windows
}

// passed are the variables that stages get by exact name, lower case.
var passed = []string{
	"lang", "language", "term", "tz",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"node_extra_ca_certs", "ssl_cert_file", "ssl_cert_dir", "curl_ca_bundle", "git_ssl_cainfo",
	// Windows does not work without these.
	"systemroot", "systemdrive", "windir", "comspec", "pathext", "programfiles", "programfiles(x86)", "programdata",
	"number_of_processors", "processor_architecture",
}

// npmSetting matches npm's settings about where packages come from and how to get there. Its other variables describe the
// package whose script started Penstock, and would mislead an npm inside a stage.
var npmSetting = regexp.MustCompile(`(?i)^npm_config_(.*registry.*|.*_auth.*|.*proxy.*|ca|cafile|cert|key|strict_ssl|strict-ssl|userconfig|globalconfig|fetch_.*|//.*|@.*)$`)

// secretName matches names of variables whose value nobody should see.
var secretName = regexp.MustCompile(`(?i)(auth|token|password|secret|_key$)`)

func newEnvironment(environ []string, appRoot, state string) *environment {
	e := &environment{vars: map[string]string{}, secrets: map[string]string{}}
	home := ""
	for _, variable := range environ {
		name, value, ok := strings.Cut(variable, "=")
		if !ok || value == "" {
			continue
		}
		lower := strings.ToLower(name)
		switch {
		case lower == "path":
			e.path = cleanPath(value, appRoot, state)
		case name == "HOME", lower == "userprofile" && runtime.GOOS == "windows":
			home = value
		case slices.Contains(passed, lower), strings.HasPrefix(name, "LC_"), npmSetting.MatchString(name):
			e.vars[name] = value
			e.noteSecret(name, value)
		}
	}
	if runtime.GOOS == "windows" {
		e.exts = e.vars["PATHEXT"]
	}
	e.addUserConfig(home)
	return e
}

// noteSecret finds values that must not be shown: tokens, and passwords in proxies' addresses.
func (e *environment) noteSecret(name, value string) {
	if secretName.MatchString(name) {
		e.secrets[name] = value
	}
	if address, err := url.Parse(value); err == nil && address.User != nil {
		if password, ok := address.User.Password(); ok {
			e.secrets[name] = password
		}
	}
}

// addUserConfig points npm at the user's own settings, which a stage's own HOME hides.
func (e *environment) addUserConfig(home string) {
	for name := range e.vars {
		if strings.EqualFold(name, "npm_config_userconfig") {
			return
		}
	}
	config := filepath.Join(home, ".npmrc")
	if _, err := os.Stat(config); home != "" && err == nil {
		e.vars["NPM_CONFIG_USERCONFIG"] = config
	}
}

// cleanPath leaves out relative folders, and folders of the app itself (npm adds its node_modules/.bin when it starts
// Penstock): programs of the app come from its workspace, where they were declared.
func cleanPath(path, appRoot, state string) string {
	var kept []string
	for _, folder := range filepath.SplitList(path) {
		real, err := filepath.EvalSymlinks(folder)
		if err != nil {
			real = folder // it is not there, or not yet
		}
		ours := func(path string) bool { return within(appRoot, path) || within(state, path) }
		if !filepath.IsAbs(folder) || ours(folder) || ours(real) {
			continue
		}
		kept = append(kept, folder)
	}
	return strings.Join(kept, string(filepath.ListSeparator))
}

func within(root, path string) bool {
	relative, err := filepath.Rel(root, path)
	return err == nil && filepath.IsLocal(relative)
}
