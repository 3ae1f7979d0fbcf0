package localcloud

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) scheduleRoutes() []route {
	const schedules = "/accounts/{account}/workers/scripts/{script}/schedules"
	return []route{
		{"GET " + schedules, c.getSchedules},
		{"PUT " + schedules, c.setSchedules},
	}
}

func describeSchedules(script store.Script) map[string]any {
	schedules := []map[string]any{}
	for _, cron := range script.Crons {
		schedules = append(schedules, map[string]any{
			"cron": cron, "created_on": script.CronsModified, "modified_on": script.CronsModified,
		})
	}
	return map[string]any{"schedules": schedules}
}

func (c *Cloud) getSchedules(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	return ok(describeSchedules(script)), nil
}

// setSchedules replaces the cron expressions and starts the new ones at once.
func (c *Cloud) setSchedules(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[[]struct {
		Cron string `json:"cron"`
	}](r)
	if err != nil {
		return nil, err
	}
	c.deploying.Lock()
	defer c.deploying.Unlock()
	before, err := c.script(r)
	if err != nil {
		return nil, err
	}
	after := before
	after.Crons, after.CronsModified = nil, now()
	for _, one := range request {
		if len(strings.Fields(one.Cron)) != 5 {
			return nil, refuse(http.StatusBadRequest, codeBadSchedule, "cron expression %q must have five fields", one.Cron)
		}
		after.Crons = append(after.Crons, one.Cron)
	}
	ctx := context.WithoutCancel(r.Context())
	if err := c.store.PutScript(ctx, after); err != nil {
		return nil, err
	}
	if err := ignoreNotFound(c.reapply(ctx, after.Name)); err != nil {
		refused := refuse(http.StatusBadRequest, codeBadSchedule, "schedules not applied: %v", err)
		return nil, errors.Join(refused, c.store.PutScript(ctx, before))
	}
	return ok(describeSchedules(after)), nil
}
