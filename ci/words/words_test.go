package words

import "testing"

// TestHere has every kind of next step that penstock names and that has a function here.
func TestHere(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"next: open http://127.0.0.1:8787 · stop it with `penstock local down`": "next: `penstock deploy --executor dagger` serves it on this machine · `dagger call history` looks back",
		"live: version 1\nurl:  http://127.0.0.1:8787\nrun:  01M8":              "live: version 1\nrun:  01M8",
		"url:  https://guide.example":                                           "url:  https://guide.example",
		"`penstock history 01M8` shows each gate":                               "`dagger call history --run 01M8` shows each gate",
		"`penstock approve 01M8 --reason …`":                                    "`dagger call approve --run 01M8 --reason …`",
		"`penstock approve 01M8 --reason … --sign KEY`":                         "`dagger call --key file:KEY approve --run 01M8 --reason …`",
		"`penstock waive 01M8 security/audit --reason …`":                       "`dagger call waive --run 01M8 --gate security/audit --reason …`",
		"`penstock promote 01M8`":                                               "`dagger call promote --run 01M8`",
		"`penstock promote 01M8 --env next`":                                    "`dagger call promote --run 01M8 --env next`",
		"`penstock deploy --env production`":                                    "`dagger call deploy --env production`",
		"`penstock deploy --env production --sign KEY`":                         "`dagger call --key file:KEY deploy --env production`",
		"`penstock smoke --env production`":                                     "`dagger call smoke --env production`",
		"`penstock history --env staging`":                                      "`penstock history --env staging` (in `dagger call console terminal`)",
		"`penstock check`":                                                      "`dagger call check`",
		"`penstock gates list`":                                                 "`dagger call gates`",
		"  whole output: /state/runs/1/logs/test.log":                           "  whole output: `dagger call console with-exec --args cat,/state/runs/1/logs/test.log stdout`",
		"there is none in this folder; go to the app's folder, or make one":     "there is none in this folder; name the app's folder with --app, or make one",
		// What has no function is a command in the console.
		"`penstock provision --env production`": "`penstock provision --env production` (in `dagger call console terminal`)",
		"`penstock secrets put NAME --env x`":   "`penstock secrets put NAME --env x` (in `dagger call console terminal`)",
	} {
		if got := Here(said); got != want {
			t.Errorf("%q becomes\n  %q, want\n  %q", said, got, want)
		}
	}
}
