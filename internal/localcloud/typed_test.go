package localcloud

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/d1"
	"github.com/cloudflare/cloudflare-go/v7/kv"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/queues"
	"github.com/cloudflare/cloudflare-go/v7/r2"
	"github.com/cloudflare/cloudflare-go/v7/ssl"
	cfworkers "github.com/cloudflare/cloudflare-go/v7/workers"
	"github.com/cloudflare/cloudflare-go/v7/zones"
)

// Cloudflare's own Go client must read every answer that a deployment needs: it is generated from their description of
// the API, and so a witness that this package did not write.

func typedOptions(cloud *Cloud) []option.RequestOption {
	info := cloud.Info()
	return []option.RequestOption{option.WithBaseURL(info.APIURL + "/"), option.WithAPIToken(info.Token), option.WithMaxRetries(0)}
}

// good fails the test for an error.
func good[R any](t *testing.T) func(R, error) R {
	return func(result R, err error) R {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

// raw sends an upload body instead of the one that the client would generate, which the API refuses.
func raw(t *testing.T, meta map[string]any) option.RequestOption {
	body, contentType := upload(t, meta, "index.js", "export default {}")
	return option.WithRequestBody(contentType, body)
}

func TestTypedWorkers(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	scripts, account := cfworkers.NewScriptService(typedOptions(cloud)...), cloud.Info().AccountID

	update := cfworkers.ScriptUpdateParams{}
	update.AccountID.Value, update.AccountID.Present = account, true
	put := good[*cfworkers.ScriptUpdateResponse](t)(scripts.Update(t.Context(), "hello", update, raw(t, meta("bindings", []any{
		map[string]any{"type": "plain_text", "name": "MODE", "text": "prod"}, map[string]any{"type": "secret_text", "name": "KEY", "text": "x"},
	}, "migrations", map[string]any{"new_tag": "v1", "new_sqlite_classes": []string{"C"}}))))
	if put.ID != "hello" || put.Etag == "" || put.CreatedOn.IsZero() || put.CompatibilityDate != "2026-04-01" || put.MigrationTag != "v1" {
		t.Errorf("update: %s", put.JSON.RawJSON())
	}

	list := cfworkers.ScriptListParams{}
	list.AccountID.Value, list.AccountID.Present = account, true
	pages := scripts.ListAutoPaging(t.Context(), list)
	if !pages.Next() || pages.Current().ID != "hello" || pages.Current().MigrationTag != "v1" || pages.Next() {
		t.Errorf("list: %+v, %v", pages.Current(), pages.Err())
	}

	newVersion := cfworkers.ScriptVersionNewParams{}
	newVersion.AccountID.Value, newVersion.AccountID.Present = account, true
	version := good[*cfworkers.ScriptVersionNewResponse](t)(scripts.Versions.New(t.Context(), "hello", newVersion, raw(t,
		meta("annotations", map[string]any{"workers/tag": "t2"}, "bindings", []any{map[string]any{"type": "inherit", "name": "MODE"}}))))
	if version.ID == "" || version.Number != 2 || version.Metadata.CreatedOn == "" || len(version.Resources.Bindings) != 2 ||
		version.Resources.ScriptRuntime.CompatibilityDate == "" || version.Resources.Script.Etag == "" {
		t.Errorf("version: %s", version.JSON.RawJSON())
	}

	versions := cfworkers.ScriptVersionListParams{}
	versions.AccountID.Value, versions.AccountID.Present = account, true
	page := scripts.Versions.ListAutoPaging(t.Context(), "hello", versions)
	var numbers []float64
	for page.Next() {
		numbers = append(numbers, page.Current().Number)
	}
	if page.Err() != nil || fmt.Sprint(numbers) != "[2 1]" {
		t.Errorf("versions %v, %v", numbers, page.Err())
	}

	getVersion := cfworkers.ScriptVersionGetParams{}
	getVersion.AccountID.Value, getVersion.AccountID.Present = account, true
	got := good[*cfworkers.ScriptVersionGetResponse](t)(scripts.Versions.Get(t.Context(), "hello", version.ID, getVersion))
	if got.ID != version.ID || got.Resources.ScriptRuntime.MigrationTag != "v1" {
		t.Errorf("version: %s", got.JSON.RawJSON())
	}

	deploy := cfworkers.ScriptDeploymentNewParams{}
	deploy.AccountID.Value, deploy.AccountID.Present = account, true
	deployment := good[*cfworkers.Deployment](t)(scripts.Deployments.New(t.Context(), "hello", deploy,
		option.WithRequestBody("application/json", []byte(fmt.Sprintf(`{"strategy":"percentage","versions":[{"version_id":%q,"percentage":100}]}`, version.ID)))))
	if deployment.ID == "" || len(deployment.Versions) != 1 || deployment.Versions[0].Percentage != 100 {
		t.Errorf("deployment: %s", deployment.JSON.RawJSON())
	}
	deployments := cfworkers.ScriptDeploymentListParams{}
	deployments.AccountID.Value, deployments.AccountID.Present = account, true
	listed := good[*cfworkers.ScriptDeploymentListResponse](t)(scripts.Deployments.List(t.Context(), "hello", deployments))
	if len(listed.Deployments) != 2 || listed.Deployments[0].ID != deployment.ID || !listed.Deployments[0].CreatedOn.Equal(deployment.CreatedOn) {
		t.Errorf("deployments: %s", listed.JSON.RawJSON())
	}

	putSecret := cfworkers.ScriptSecretUpdateParams{}
	putSecret.AccountID.Value, putSecret.AccountID.Present = account, true
	secret := good[*cfworkers.ScriptSecretUpdateResponse](t)(scripts.Secrets.Update(t.Context(), "hello", putSecret,
		option.WithRequestBody("application/json", []byte(`{"name":"NEW","type":"secret_text","text":"y"}`))))
	if secret.Name != "NEW" || secret.Type != "secret_text" {
		t.Errorf("secret: %+v", secret)
	}
	secrets := cfworkers.ScriptSecretListParams{}
	secrets.AccountID.Value, secrets.AccountID.Present = account, true
	names := scripts.Secrets.ListAutoPaging(t.Context(), "hello", secrets)
	count := 0
	for names.Next() {
		count++
	}
	if count != 2 || names.Err() != nil {
		t.Errorf("%d secrets, %v", count, names.Err())
	}

	subdomain := cfworkers.ScriptSubdomainGetParams{}
	subdomain.AccountID.Value, subdomain.AccountID.Present = account, true
	if got := good[*cfworkers.ScriptSubdomainGetResponse](t)(scripts.Subdomain.Get(t.Context(), "hello", subdomain)); got.Enabled {
		t.Error("the workers.dev address is on")
	}
	settings := cfworkers.ScriptScriptAndVersionSettingGetParams{}
	settings.AccountID.Value, settings.AccountID.Present = account, true
	if got := good[*cfworkers.ScriptScriptAndVersionSettingGetResponse](t)(scripts.ScriptAndVersionSettings.Get(t.Context(), "hello", settings)); len(got.Bindings) != 3 {
		t.Errorf("settings: %s", got.JSON.RawJSON())
	}
	schedules := cfworkers.ScriptScheduleGetParams{}
	schedules.AccountID.Value, schedules.AccountID.Present = account, true
	if got := good[*cfworkers.ScriptScheduleGetResponse](t)(scripts.Schedules.Get(t.Context(), "hello", schedules)); len(got.Schedules) != 0 {
		t.Errorf("schedules: %s", got.JSON.RawJSON())
	}
}

func TestTypedRefusal(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	params := cfworkers.ScriptDeploymentListParams{}
	params.AccountID.Value, params.AccountID.Present = cloud.Info().AccountID, true
	_, err := cfworkers.NewScriptService(typedOptions(cloud)...).Deployments.List(t.Context(), "absent", params)
	var refused *cfworkers.Error
	if !errors.As(err, &refused) || refused.StatusCode != 404 || len(refused.Errors) != 1 || refused.Errors[0].Code != codeScriptNotFound {
		t.Errorf("%v", err)
	}
}

func TestTypedD1(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	databases, account := d1.NewDatabaseService(typedOptions(cloud)...), cloud.Info().AccountID
	create := d1.DatabaseNewParams{}
	create.AccountID.Value, create.AccountID.Present = account, true
	create.Name.Value, create.Name.Present = "db", true
	database := good[*d1.D1](t)(databases.New(t.Context(), create))
	if database.UUID == "" || database.Name != "db" || database.CreatedAt.IsZero() {
		t.Errorf("created: %s", database.JSON.RawJSON())
	}
	query := d1.DatabaseQueryParams{Body: d1.DatabaseQueryParamsBody{}}
	query.AccountID.Value, query.AccountID.Present = account, true
	page, err := databases.Query(t.Context(), database.UUID, query, option.WithRequestBody("application/json", []byte(`{"sql":"SELECT 1 AS one"}`)))
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Result) != 1 || !page.Result[0].Success || fmt.Sprint(page.Result[0].Results) != "[map[one:1]]" {
		t.Errorf("query: %+v", page.Result)
	}
	get := d1.DatabaseGetParams{}
	get.AccountID.Value, get.AccountID.Present = account, true
	if got := good[*d1.D1](t)(databases.Get(t.Context(), database.UUID, get)); got.Version != "production" {
		t.Errorf("get: %s", got.JSON.RawJSON())
	}
	mark := d1.DatabaseTimeTravelGetBookmarkParams{}
	mark.AccountID.Value, mark.AccountID.Present = account, true
	bookmark := good[*d1.DatabaseTimeTravelGetBookmarkResponse](t)(databases.TimeTravel.GetBookmark(t.Context(), database.UUID, mark))
	restore := d1.DatabaseTimeTravelRestoreParams{}
	restore.AccountID.Value, restore.AccountID.Present = account, true
	restore.Bookmark.Value, restore.Bookmark.Present = bookmark.Bookmark, true
	restored := good[*d1.DatabaseTimeTravelRestoreResponse](t)(databases.TimeTravel.Restore(t.Context(), database.UUID, restore))
	if restored.Bookmark != bookmark.Bookmark || restored.PreviousBookmark == "" {
		t.Errorf("restored: %s", restored.JSON.RawJSON())
	}
	export := d1.DatabaseExportParams{}
	export.AccountID.Value, export.AccountID.Present = account, true
	export.OutputFormat.Value, export.OutputFormat.Present = d1.DatabaseExportParamsOutputFormatPolling, true
	exported := good[*d1.DatabaseExportResponse](t)(databases.Export(t.Context(), database.UUID, export))
	if exported.Status != "complete" || exported.Result.SignedURL == "" || exported.AtBookmark == "" {
		t.Errorf("exported: %s", exported.JSON.RawJSON())
	}
}

func TestTypedStorage(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	account, options := cloud.Info().AccountID, typedOptions(cloud)

	newNamespace := kv.NamespaceNewParams{}
	newNamespace.AccountID.Value, newNamespace.AccountID.Present = account, true
	newNamespace.Title.Value, newNamespace.Title.Present = "t", true
	namespace := good[*kv.Namespace](t)(kv.NewNamespaceService(options...).New(t.Context(), newNamespace))
	if namespace.ID == "" || namespace.Title != "t" {
		t.Errorf("namespace: %s", namespace.JSON.RawJSON())
	}
	succeed(t, cloud, "PUT", "@/storage/kv/namespaces/"+namespace.ID+"/bulk", []any{map[string]any{"key": "a", "value": "1"}, map[string]any{"key": "b", "value": "2"}})
	keys := kv.NamespaceKeyListParams{}
	keys.AccountID.Value, keys.AccountID.Present = account, true
	listed := kv.NewNamespaceKeyService(options...).ListAutoPaging(t.Context(), namespace.ID, keys)
	names := ""
	for listed.Next() {
		names += listed.Current().Name
	}
	if names != "ab" || listed.Err() != nil {
		t.Errorf("keys %q, %v", names, listed.Err())
	}

	newBucket := r2.BucketNewParams{}
	newBucket.AccountID.Value, newBucket.AccountID.Present = account, true
	newBucket.Name.Value, newBucket.Name.Present = "files", true
	if bucket := good[*r2.Bucket](t)(r2.NewBucketService(options...).New(t.Context(), newBucket)); bucket.Name != "files" || bucket.CreationDate == "" {
		t.Errorf("bucket: %s", bucket.JSON.RawJSON())
	}
	buckets := r2.BucketListParams{}
	buckets.AccountID.Value, buckets.AccountID.Present = account, true
	if got := good[*r2.BucketListResponse](t)(r2.NewBucketService(options...).List(t.Context(), buckets)); len(got.Buckets) != 1 {
		t.Errorf("buckets: %s", got.JSON.RawJSON())
	}

	newQueue := queues.QueueNewParams{}
	newQueue.AccountID.Value, newQueue.AccountID.Present = account, true
	newQueue.QueueName.Value, newQueue.QueueName.Present = "jobs", true
	if queue := good[*queues.Queue](t)(queues.NewQueueService(options...).New(t.Context(), newQueue)); queue.QueueID == "" || queue.Settings.MessageRetentionPeriod == 0 {
		t.Errorf("queue: %s", queue.JSON.RawJSON())
	}
}

func TestTypedZones(t *testing.T) {
	cloud, _ := startFake(t, t.TempDir())
	deployed(t, cloud)
	options := typedOptions(cloud)
	list := zones.ZoneListParams{}
	list.Name.Value, list.Name.Present = "example.com", true
	found := zones.NewZoneService(options...).ListAutoPaging(t.Context(), list)
	if !found.Next() || found.Current().Name != "example.com" || found.Current().Status != zones.ZoneStatusActive || found.Current().Account.ID != cloud.Info().AccountID {
		t.Fatalf("%+v, %v", found.Current(), found.Err())
	}
	zone := found.Current().ID

	attach := cfworkers.DomainUpdateParams{}
	attach.AccountID.Value, attach.AccountID.Present = cloud.Info().AccountID, true
	attach.Hostname.Value, attach.Hostname.Present = "app.example.com", true
	attach.Service.Value, attach.Service.Present = "hello", true
	attach.ZoneID.Value, attach.ZoneID.Present = zone, true
	domain := good[*cfworkers.DomainUpdateResponse](t)(cfworkers.NewDomainService(options...).Update(t.Context(), attach))
	if domain.Hostname != "app.example.com" || domain.CERTID == "" || domain.ZoneName != "example.com" {
		t.Errorf("domain: %s", domain.JSON.RawJSON())
	}

	packs := ssl.CertificatePackListParams{}
	packs.ZoneID.Value, packs.ZoneID.Present = zone, true
	certificates := ssl.NewCertificatePackService(options...).ListAutoPaging(t.Context(), packs)
	hosts := ""
	for certificates.Next() {
		pack := certificates.Current()
		hosts += fmt.Sprint(pack.Hosts)
		if pack.Status != ssl.StatusActive || len(pack.Certificates) != 1 || time.Until(pack.Certificates[0].ExpiresOn) < 80*24*time.Hour {
			t.Errorf("pack: %s", pack.JSON.RawJSON())
		}
	}
	if hosts != "[example.com *.example.com][app.example.com]" || certificates.Err() != nil {
		t.Errorf("packs of %s, %v", hosts, certificates.Err())
	}

	get := zones.SettingGetParams{}
	get.ZoneID.Value, get.ZoneID.Present = zone, true
	setting := good[*zones.SettingGetResponse](t)(zones.NewSettingService(options...).Get(t.Context(), "always_use_https", get))
	if fmt.Sprint(setting.Value) != "off" {
		t.Errorf("setting: %s", setting.JSON.RawJSON())
	}
}
