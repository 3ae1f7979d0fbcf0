package main

import (
	"slices"

	"github.com/penstock-ci/penstock/gates"
	"github.com/penstock-ci/penstock/gates/evidence"
)

// secretsGate judges names only: no gate ever sees a value.
var secretsGate = environmentGate{
	name: "secrets", title: "every required secret has a value in the environment", phases: live,
	judge: func(_ *gates.Request, seen *sight) error {
		seen.subject = "required secret"
		secrets := seen.Secrets
		seen.measurements = append(seen.measurements, gates.Count("required secrets", len(secrets.Required), nil))
		if len(secrets.Required) == 0 {
			return nil
		}
		if seen.run.VersionID == "" && secrets.State == evidence.Missing {
			for _, name := range secrets.Required {
				seen.wrong("missing", "give it to the first deployment, in its process's environment: `"+name+"=…` before "+seen.penstock("deploy"),
					"the required secret %s has no value yet: there is no Worker %s that could have one", name, seen.Worker.Name)
			}
			return nil
		}
		has, reason := seen.secretNames()
		if reason != "" {
			seen.unknown(reason, "which secrets %s has is not known", seen.Worker.Name)
			return nil
		}
		for _, name := range secrets.Required {
			switch {
			case slices.Contains(has, name):
				seen.found("secret %s has a value", name)
			case slices.Contains(secrets.Names, name):
				seen.wrong("waiting", seen.penstock("deploy")+" makes a version that has it",
					"the required secret %s is on the newest version of %s, and version %s does not have it", name, seen.Worker.Name, short(seen.run.VersionID))
			default:
				seen.wrong("missing", "put it with "+seen.penstock("secrets put", name)+", or set "+name+" in the environment of the next "+seen.penstock("deploy"),
					"the required secret %s has no value in %s", name, seen.Name)
			}
		}
		return nil
	},
}

// secretNames are those of the version that is judged. A secret that was put by hand is on the newest version, which need
// not be that one.
func (s *sight) secretNames() (names []string, reason string) {
	if s.run.VersionID == "" {
		if s.Secrets.State != evidence.Present {
			return nil, cmpReason(s.Secrets.Reason, "nobody says why")
		}
		return s.Secrets.Names, ""
	}
	version := s.version()
	if version == nil || version.BindingsState != evidence.Present {
		return nil, "the bindings of version " + short(s.run.VersionID) + " could not be read"
	}
	for _, binding := range version.Bindings {
		if binding.Type == "secret_text" || binding.Type == "secret_key" || binding.Type == "secrets_store_secret" {
			names = append(names, binding.Name)
		}
	}
	return names, ""
}

func cmpReason(reason, otherwise string) string {
	if reason != "" {
		return reason
	}
	return otherwise
}
