package localcloud

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/localcloud/store"
)

func (c *Cloud) deploymentRoutes() []route {
	const deployments = "/accounts/{account}/workers/scripts/{script}/deployments"
	return []route{
		{"GET " + deployments, c.listDeployments},
		{"POST " + deployments, c.addDeployment},
		{"GET " + deployments + "/{deployment}", c.getDeployment},
	}
}

// shownDeployments is how many a list holds: as many as there are versions that can be deployed.
const shownDeployments = 100

func describeDeployment(deployment store.Deployment) map[string]any {
	versions := []map[string]any{}
	for _, share := range deployment.Shares {
		versions = append(versions, map[string]any{"version_id": share.VersionID, "percentage": share.Percentage})
	}
	annotations := deployment.Annotations
	if annotations == nil {
		annotations = map[string]string{}
	}
	return map[string]any{
		"id": deployment.ID, "created_on": deployment.CreatedAt, "source": deployment.Source, "strategy": "percentage",
		"author_email": author, "author_id": author, "annotations": annotations, "versions": versions,
	}
}

func (c *Cloud) listDeployments(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	deployments, err := c.store.Deployments(r.Context(), script.Name, shownDeployments)
	if err != nil {
		return nil, err
	}
	out := []map[string]any{}
	for _, deployment := range deployments {
		out = append(out, describeDeployment(deployment))
	}
	return ok(map[string]any{"deployments": out}), nil
}

func (c *Cloud) getDeployment(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	if _, err := c.script(r); err != nil {
		return nil, err
	}
	deployment, err := c.store.Deployment(r.Context(), r.PathValue("script"), r.PathValue("deployment"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, codeDeploymentNotFound, "deployment %s of this Worker does not exist", r.PathValue("deployment"))
	}
	if err != nil {
		return nil, err
	}
	return ok(describeDeployment(deployment)), nil
}

// current is what serves now; empty when nothing was deployed yet.
func (c *Cloud) current(ctx context.Context, script string) ([]runtime.Share, error) {
	deployments, err := c.store.Deployments(ctx, script, 1)
	if err != nil || len(deployments) == 0 {
		return nil, err
	}
	return deployments[0].Shares, nil
}

// largest is the share with the most traffic, the first one of equals.
func largest(shares []runtime.Share) runtime.Share {
	return slices.MaxFunc(shares, func(a, b runtime.Share) int { return int(math.Copysign(1, a.Percentage-b.Percentage)) })
}

type deploymentRequest struct {
	Strategy string `json:"strategy"`
	Versions []struct {
		VersionID  string   `json:"version_id"`
		Percentage *float64 `json:"percentage"`
	} `json:"versions"`
	Annotations map[string]string `json:"annotations"`
}

// shares checks the form of a request, without looking at what exists.
func (d deploymentRequest) shares() ([]runtime.Share, error) {
	bad := func(message string, args ...any) error {
		return refuse(http.StatusBadRequest, codeBadDeployment, message, args...)
	}
	if d.Strategy != "percentage" {
		return nil, bad("strategy must be percentage, not %q", d.Strategy)
	}
	if len(d.Versions) < 1 || len(d.Versions) > 2 {
		return nil, bad("a deployment must name one or two versions, not %d", len(d.Versions))
	}
	shares, sum := []runtime.Share{}, 0.0
	for _, version := range d.Versions {
		if version.Percentage == nil || *version.Percentage < 0 || *version.Percentage > 100 {
			return nil, bad("percentage of version %s must be between 0 and 100", version.VersionID)
		}
		if slices.ContainsFunc(shares, func(share runtime.Share) bool { return share.VersionID == version.VersionID }) {
			return nil, bad("version %s is named twice", version.VersionID)
		}
		shares = append(shares, runtime.Share{VersionID: version.VersionID, Percentage: *version.Percentage})
		sum += *version.Percentage
	}
	if math.Abs(sum-100) > 0.001 {
		return nil, bad("percentages must sum to 100, not %g", sum)
	}
	return shares, nil
}

// addDeployment shifts traffic. ?force=true overrides the question about changed secrets only.
func (c *Cloud) addDeployment(_ http.ResponseWriter, r *http.Request) (*answer, error) {
	request, err := decode[deploymentRequest](r)
	if err != nil {
		return nil, err
	}
	c.deploying.Lock()
	defer c.deploying.Unlock()
	script, err := c.script(r)
	if err != nil {
		return nil, err
	}
	shares, err := request.shares()
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	before, err := c.current(ctx, script.Name)
	if err != nil {
		return nil, err
	}
	classes, err := c.store.Classes(ctx, script.Name)
	if err != nil {
		return nil, err
	}
	for _, share := range shares {
		if err := c.deployable(ctx, script, classes, share.VersionID, before, r.URL.Query().Get("force") == "true"); err != nil {
			return nil, err
		}
	}
	deployment := store.Deployment{
		ID: uuid.NewString(), Script: script.Name, CreatedAt: now(), Source: source(r),
		Annotations: map[string]string{"workers/triggered_by": "deployment"}, Shares: shares,
	}
	for name, value := range request.Annotations {
		deployment.Annotations[name] = value
	}
	if _, err := c.deploy(ctx, script, classes, nil, deployment); err != nil {
		return nil, err
	}
	return ok(describeDeployment(deployment)), nil
}

// deployable refuses a version that cannot serve any more, or that should not without a question.
// Source: https://developers.cloudflare.com/workers/versions-and-deployments/rollbacks/
func (c *Cloud) deployable(ctx context.Context, script store.Script, classes []runtime.DurableObjectClass, id string, before []runtime.Share, force bool) error {
	version, err := c.store.Version(ctx, script.Name, id)
	if errors.Is(err, store.ErrNotFound) {
		return refuse(http.StatusBadRequest, codeVersionNotFound, "version %s of this Worker does not exist", id)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(before, func(share runtime.Share) bool { return share.VersionID == id }) {
		return nil // it serves already; what could be said against it was said then
	}
	newest, err := c.newest(ctx, script.Name)
	if err != nil {
		return err
	}
	if newest.Number-version.Number >= store.KeptVersions {
		return refuse(http.StatusBadRequest, codeBadDeployment, "version %s is too old: only the %d most recent versions can be deployed", id, store.KeptVersions)
	}
	if version.MigrationTag != script.MigrationTag {
		return refuse(http.StatusBadRequest, codeBadDeployment,
			"version %s cannot be deployed: it was uploaded before Durable Object migration %q", id, script.MigrationTag)
	}
	for _, binding := range version.Bindings {
		if err := c.exists(ctx, script.Name, binding, classes); err != nil {
			return err
		}
	}
	if force {
		return nil
	}
	return c.sameSecrets(ctx, version, before)
}

// sameSecrets refuses to go back to a version whose secrets are not those that serve now. The words up to the colon are
// Cloudflare's: wrangler cuts the names out behind them.
func (c *Cloud) sameSecrets(ctx context.Context, back store.Version, before []runtime.Share) error {
	for _, share := range before {
		serving, err := c.store.Version(ctx, back.Script, share.VersionID)
		if err != nil {
			return err
		}
		if changed := changedSecrets(serving, back); serving.Number > back.Number && len(changed) > 0 {
			return refuse(http.StatusBadRequest, codeSecretsChanged, "The following secrets have changed: %s", strings.Join(changed, ", "))
		}
	}
	return nil
}

// changedSecrets names the secrets that only one of two versions has, or that differ.
func changedSecrets(a, b store.Version) []string {
	values := func(version store.Version) map[string]string {
		out := map[string]string{}
		for _, binding := range version.Bindings {
			if binding.Secret() {
				out[binding.Name()] = binding.String("text")
			}
		}
		return out
	}
	before, after := values(a), values(b)
	var changed []string
	for name := range before {
		if text, kept := after[name]; !kept || text != before[name] {
			changed = append(changed, name)
		}
	}
	for name := range after {
		if _, kept := before[name]; !kept {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}
