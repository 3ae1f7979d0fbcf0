package host

// SandboxReport says in words how a set is confined on this machine, and how it is not.
type SandboxReport struct {
	Enforced []string `json:"enforced"`
	Missing  []string `json:"missing,omitempty"`
}

func (s *SandboxReport) enforce(what string) { s.Enforced = append(s.Enforced, what) }
func (s *SandboxReport) miss(what string)    { s.Missing = append(s.Missing, what) }
