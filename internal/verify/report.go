// Package verify judges how well a federation keeps to what docs/security.md asks for, by what its hub answers, what is
// compiled for its clusters, and what the clusters have. It is a pure function of those facts: who gathers them is its
// caller, which is the CLI.
//
// A report tells what was examined beside what was found, so that nothing found is not taken for nothing looked at.
package verify

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity is how bad a finding is.
type Severity string

// The severities. Critical is a way in for somebody who should have none; Warning weakens a defence or leaves something
// unexamined; Info is worth knowing.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

var order = map[Severity]int{Critical: 0, Warning: 1, Info: 2}

// The checks.
const (
	CheckIdentity    = "mutual-tls"
	CheckCertificate = "certificates"
	CheckRoot        = "roots"
	CheckToken       = "tokens"
	CheckStrict      = "strict-mtls"
	CheckAllowAll    = "allow-all"
	CheckSidecar     = "default-sidecar"
	CheckRole        = "agent-role"
	CheckAdmin       = "admin-address"
)

// Checks lists them in the order in which they are reported.
func Checks() []string {
	return []string{CheckIdentity, CheckRoot, CheckCertificate, CheckToken, CheckStrict, CheckAllowAll, CheckSidecar, CheckRole, CheckAdmin}
}

// Finding is something that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    string   `json:"check"`
	// Subject is what is wrong: a node's path, an object.
	Subject string `json:"subject"`
	Message string `json:"message"`
}

// Examined is how many things a check has looked at, and why it did not look at others.
type Examined struct {
	Check   string   `json:"check"`
	Count   int      `json:"count"`
	Skipped []string `json:"skipped,omitempty"`
}

// Report is all findings. Its zero value is ready.
type Report struct {
	Findings []Finding  `json:"findings"`
	Examined []Examined `json:"examined"`
}

// Count is how many findings there are of a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Finish puts all in order, the worst first, and lists the checks that examined nothing.
func (r *Report) Finish() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(order[a.Severity]-order[b.Severity], slices.Index(Checks(), a.Check)-slices.Index(Checks(), b.Check),
			cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Message, b.Message))
	})
	for _, check := range Checks() {
		r.of(check)
	}
	slices.SortFunc(r.Examined, func(a, b Examined) int {
		return slices.Index(Checks(), a.Check) - slices.Index(Checks(), b.Check)
	})
}

// Skip says that something was not examined, and why.
func (r *Report) Skip(check, subject, why string) {
	e := r.of(check)
	e.Skipped = append(e.Skipped, subject+": "+why)
	r.add(Warning, check, subject, "not examined: %s", why)
}

// Unasked says that a check was not asked for, and how it can be.
func (r *Report) Unasked(check, how string) {
	e := r.of(check)
	e.Skipped = append(e.Skipped, how)
}

func (r *Report) add(s Severity, check, subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Severity: s, Check: check, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

func (r *Report) examined(check string) { r.of(check).Count++ }

func (r *Report) of(check string) *Examined {
	i := slices.IndexFunc(r.Examined, func(e Examined) bool { return e.Check == check })
	if i < 0 {
		i = len(r.Examined)
		r.Examined = append(r.Examined, Examined{Check: check})
	}
	return &r.Examined[i]
}
