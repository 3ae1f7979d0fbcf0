// Package toolcache knows in which variable each package manager takes the folder of its cache.
package toolcache

import "strings"

var known = map[string][]string{
	"npm":      {"npm_config_cache"},
	"pnpm":     {"npm_config_store_dir", "pnpm_config_store_dir"},
	"yarn":     {"YARN_CACHE_FOLDER"},
	"bun":      {"BUN_INSTALL_CACHE_DIR"},
	"corepack": {"COREPACK_HOME"},
}

// Variables are the names of the variables that shall hold the folder of a stage's cache: PENSTOCK_CACHE_<NAME> for one
// that no package manager is known for.
func Variables(cache string) []string {
	if names := known[cache]; names != nil {
		return names
	}
	return []string{"PENSTOCK_CACHE_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(cache))}
}
