package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/internal/bundle"
	"github.com/penstock-ci/penstock/internal/engine"
	"github.com/penstock-ci/penstock/internal/localcloud"
	"github.com/penstock-ci/penstock/internal/localcloud/daemon"
	"github.com/penstock-ci/penstock/internal/localcloud/runtime"
	"github.com/penstock-ci/penstock/internal/target/cloudflare"
	"github.com/penstock-ci/penstock/internal/vault"
	"github.com/penstock-ci/penstock/internal/wrangler"
	"github.com/penstock-ci/penstock/pipelines"
)

// localTarget is the target of environments that live on this machine.
const localTarget = "local"

// startLocalCloud finds the local Cloudflare or starts it, with the workerd of the given package folders, or the one that
// an earlier start kept.
func (s *Streams) startLocalCloud(ctx context.Context, packages ...string) (*daemon.Handle, error) {
	dir, err := s.localDir()
	if err != nil {
		return nil, err
	}
	_, err = daemon.Status(ctx, dir)
	running := err == nil
	workerd, err := s.workerd(packages)
	if err != nil && !running {
		return nil, err
	}
	// The arguments are needed even when one runs: it may end before it is joined.
	handle, err := daemon.Up(ctx, daemon.Options{Dir: dir, Exe: s.Executable, Args: []string{"local", "serve", "--dir", dir, "--workerd", workerd}})
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fail(ExitUnreachable, "the whole log is in "+filepath.Join(dir, "local.log"), err)
	}
	return handle, nil
}

// workerd finds the Workers runtime: of the app's own packages first, since that is what its tests ran on.
func (s *Streams) workerd(packages []string) (string, error) {
	state, err := s.stateDir()
	if err != nil {
		return "", err
	}
	kept := filepath.Join(state, "workerd")
	found, err := runtime.FindWorkerd(packages...)
	if err != nil {
		if earlier := newestFile(kept); earlier != "" {
			return earlier, nil
		}
		return "", fail(ExitUsage, "add wrangler to the app's devDependencies (it brings workerd), or set PENSTOCK_WORKERD to the binary", err)
	}
	if os.Getenv("PENSTOCK_WORKERD") == found {
		return found, nil
	}
	copied, err := keepWorkerd(found, kept)
	if err != nil {
		return "", fmt.Errorf("keep a copy of workerd: %w", err)
	}
	return copied, nil
}

// newestFile is the path of the file in dir that was written last, "" when there is none.
func newestFile(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	newest, path := int64(0), ""
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue // a copy that did not come to its end
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().UnixNano() > newest {
			newest, path = info.ModTime().UnixNano(), filepath.Join(dir, entry.Name())
		}
	}
	return path
}

// openTarget makes the target of the run's environment; for a local one it brings the local Cloudflare up.
func (r *run) openTarget(ctx context.Context) (*cloudflare.Target, error) {
	config, err := wrangler.Load(r.root)
	if err != nil {
		return nil, err
	}
	worker, err := config.For(r.environment.WranglerEnv)
	if err != nil {
		return nil, err
	}
	options := cloudflare.Options{
		Worker: worker, ConfigFile: config.File, Environment: *r.environment, AppDir: r.root, Secrets: r.secrets.deployed,
		Note: r.noteWhenTold,
	}
	options.KeptAssets = func(digest string) *bundle.Assets {
		r.listed = append(r.listed, digest)
		if r.kept.store != nil {
			if err := r.kept.vault().FetchAssetList(ctx, r.kept.store, digest); err != nil {
				r.note("warning", "which static files are live could not be asked: "+err.Error())
			}
		}
		assets, err := r.kept.vault().AssetList(digest)
		if err != nil && !errors.Is(err, vault.ErrGone) {
			r.note("warning", err.Error())
		}
		return assets
	}
	if options.BackupDir, err = r.backupDir(); err != nil {
		return nil, err
	}
	if r.environment.Target == localTarget {
		if err := r.startLocal(ctx, &options); err != nil {
			return nil, err
		}
	} else {
		options.BaseURL = r.shared.streams.Env("CLOUDFLARE_API_BASE_URL")
		options.Token = r.shared.streams.Env("CLOUDFLARE_API_TOKEN")
		options.AccountID = r.shared.streams.Env("CLOUDFLARE_ACCOUNT_ID")
		if options.AccountID == "" {
			options.AccountID = worker.AccountID
		}
		if options.Token == "" || options.AccountID == "" {
			return nil, fail(ExitUsage, "set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID; `--env local` needs neither",
				fmt.Errorf("environment %s is on Cloudflare, and there is no token or no account id to deploy with", r.environment.Name))
		}
	}
	target, err := cloudflare.New(options)
	if err != nil { // it judges what it was given, and has asked nobody yet
		return nil, fail(ExitUsage, "correct what is named, then run the same command again", err)
	}
	return target, nil
}

func (r *run) startLocal(ctx context.Context, options *cloudflare.Options) error {
	if r.cloud == nil {
		handle, err := r.shared.streams.startLocalCloud(ctx, r.packageFolders(ctx)...)
		if err != nil {
			return err
		}
		r.cloud = handle
		r.ending(handle.Close)
	}
	options.BaseURL, options.Token, options.AccountID = r.cloud.Info.APIURL, r.cloud.Info.Token, r.cloud.Info.AccountID
	options.Resources = cloudflare.ByName
	var err error
	if r.edge, err = edgeOf(r.cloud.Info, options.Worker); err != nil {
		return err
	}
	dir, err := r.shared.streams.localDir()
	if err != nil {
		return err
	}
	options.PublicURL = func(worker string) string {
		info, err := daemon.Status(ctx, dir)
		if err != nil {
			return ""
		}
		for _, script := range info.Scripts {
			if script.Name == worker {
				return script.URL
			}
		}
		return ""
	}
	return nil
}

// edgeOf is where the local Cloudflare serves the Worker's public name to those who know where to ask; nil when it has none.
func edgeOf(info localcloud.Info, worker wrangler.Worker) (*gates.Edge, error) {
	name := cloudflare.PublicName(worker)
	if name == "" {
		return nil, nil
	}
	authority, err := os.ReadFile(info.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read who signs certificates in the local Cloudflare: %w", err)
	}
	return &gates.Edge{
		Host: name, Plain: strings.TrimPrefix(info.EdgeURL, "http://"), Encrypted: strings.TrimPrefix(info.EdgeTLSURL, "https://"), Authority: authority,
	}, nil
}

// packageFolders are where the app's packages may lie: as the install stage left them, then in the app's own folder.
func (r *run) packageFolders(ctx context.Context) []string {
	own := filepath.Join(r.folder, "node_modules")
	result := r.stages.Result(pipelines.StageInstall)
	reader, ok := r.session.(engine.OutputReader)
	if result == nil || !ok {
		return []string{own}
	}
	// Not all of them: where they lie in an engine, what is asked for is copied out.
	folders := []string{}
	for _, output := range r.pipeline.Stage(pipelines.StageInstall).Outputs {
		if path.Base(output) != "node_modules" {
			continue
		}
		if installed, err := reader.OutputPath(ctx, *result, output+"/@cloudflare"); err == nil {
			folders = append(folders, installed)
		}
	}
	return append(folders, own)
}
