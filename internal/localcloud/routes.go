package localcloud

import (
	"net/http"
	"slices"
	"strings"
)

const apiPrefix = "/client/v4"

// route is one call that the API knows.
type route struct {
	pattern string // "METHOD /path below the prefix", in net/http's pattern language
	call    call
}

// routes are all calls that the API knows.
func (c *Cloud) routes() []route {
	return slices.Concat(
		c.identityRoutes(),
		c.scriptRoutes(), c.versionRoutes(), c.deploymentRoutes(), c.secretRoutes(), c.settingRoutes(), c.scheduleRoutes(),
		c.workerResourceRoutes(), c.tailRoutes(), c.assetRoutes(),
		c.workerRouteRoutes(), c.domainRoutes(), c.zoneRoutes(), c.zoneSettingRoutes(), c.certificateRoutes(),
		c.databaseRoutes(), c.kvRoutes(), c.bucketRoutes(), c.queueRoutes(), c.vectorRoutes(), c.analyticsRoutes(),
	)
}

// api serves all calls. Whatever is not listed is refused as Cloudflare refuses it: nothing is answered by accident.
func (c *Cloud) api() http.Handler {
	mux := http.NewServeMux()
	for _, route := range c.routes() {
		mux.Handle(strings.Replace(route.pattern, " /", " "+apiPrefix+"/", 1), c.reply(route.call))
	}
	mux.Handle("/", c.reply(func(_ http.ResponseWriter, r *http.Request) (*answer, error) {
		return nil, refuse(http.StatusNotFound, codeUnknownRoute,
			"Could not route to %s %s, perhaps your object identifier is invalid?", r.Method, r.URL.Path)
	}))
	outer := http.NewServeMux()
	outer.Handle(apiPrefix+"/", c.authenticated(c.faulty(mux)))
	outer.Handle(transferPrefix, c.faulty(c.reply(c.transfer)))
	outer.HandleFunc(tailPath, c.serveTail)
	outer.Handle(faultsPath, c.authenticated(c.reply(c.serveFaults)))
	return outer
}

func (c *Cloud) identityRoutes() []route {
	return []route{
		{"GET /user", c.user},
		{"GET /user/tokens/verify", c.verifyToken},
		{"GET /accounts", c.accounts},
		{"GET /accounts/{account}", c.getAccount},
	}
}
