package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// Issued writes a token that was just made, and how the newcomer is started with it.
func Issued(w io.Writer, t *question.IssuedToken, now time.Time) error {
	rows := [][]string{
		{"token", t.Text},
		{"for", t.Target.String() + modeText(t.Token)},
		{"good for", fmt.Sprintf("%s, %s", ago(t.Expires, now), count(t.Uses, "use"))},
		{"pin", strings.Join(t.Pins, " ")},
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe token is a secret, and shown this once. Write it to a file that the newcomer alone can read, and start it with:\n\n  %s\n",
		starting(t))
	return err
}

func modeText(t question.Token) string {
	switch {
	case t.Mode == question.TokenReplace && t.Target.Tier() == question.TierGlobal:
		return ", whose earlier certificates are refused from then on, but for the process that has the root"
	case t.Mode == question.TokenReplace:
		return ", whose earlier certificates are refused from then on"
	case t.Mode == question.TokenReplica:
		return ", one more process of it"
	}
	return ""
}

// starting is the command that a newcomer is started with; what else its place needs is the operator's.
func starting(t *question.IssuedToken) string {
	flags := map[question.Tier]string{
		question.TierGlobal:  "meridian-global --identity-join ADDRESS-OF-ANOTHER-GLOBAL",
		question.TierRegion:  "meridian-region --region " + t.Target.Region,
		question.TierZone:    "meridian-zone --region " + t.Target.Region + " --zone " + t.Target.Zone,
		question.TierCluster: "meridian-agent --region " + t.Target.Region + " --zone " + t.Target.Zone + " --cluster " + t.Target.Cluster,
	}[t.Target.Tier()]
	text := flags + " --identity-token-file FILE"
	if len(t.Pins) > 0 {
		text += " --identity-pin " + strings.Join(t.Pins, ",")
	}
	if t.TrustDomain != "" {
		text += " --identity-trust-domain " + t.TrustDomain
	}
	return text
}

// Tokens writes a list of tokens.
func Tokens(w io.Writer, top *question.Node, now time.Time) error {
	rows := [][]string{{"ID", "FOR", "MODE", "USED", "ENDS", "BY", "AGE"}}
	for _, t := range top.Tokens {
		ends := "ended"
		if t.Expires.After(now) {
			ends = "in " + ago(t.Expires, now)
		}
		rows = append(rows, []string{t.ID, t.Target.String(), dash(t.Mode), fmt.Sprintf("%d/%d", t.Used, t.Uses), ends,
			dash(t.CreatedBy), ago(now, t.Created)})
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	return notes(w, top)
}

// Authority writes which root each node's certificate is under, which it believes, and when its certificates end.
func Authority(w io.Writer, top *question.Node, now time.Time) error {
	rows := [][]string{{"NODE", "ROOT", "BELIEVES", "CERTIFICATE", "AUTHORITY", "GENERATION"}}
	for _, b := range lines(top) {
		o := b.node.Overview
		if o == nil {
			rows = append(rows, []string{b.label, firstLine(b.node.Unanswered), "", "", "", ""})
			continue
		}
		rows = append(rows, append([]string{b.label}, identityCells(o.Identity, now)...))
		for _, r := range o.Replicas {
			if len(o.Replicas) > 1 {
				rows = append(rows, append([]string{"  replica " + r.ID}, identityCells(r.Identity, now)...))
			}
		}
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	return notes(w, top)
}

func identityCells(id *question.Identity, now time.Time) []string {
	if id == nil {
		return []string{"?", "?", "?", "?", "?"}
	}
	var believed []string
	for _, pin := range id.Believes {
		believed = append(believed, shortPin(pin))
	}
	return []string{shortPin(id.Root), strings.Join(believed, " "), left(id.Expires, now), left(id.AuthorityExpires, now),
		fmt.Sprint(id.Generation)}
}

// shortPin is the first digits of a pin, by which people tell two roots apart.
func shortPin(pin string) string {
	digits := strings.TrimPrefix(pin, "sha256:")
	return digits[:min(len(digits), 10)]
}

func left(end, now time.Time) string {
	switch {
	case end.IsZero():
		return "-"
	case end.Before(now):
		return "ended " + ago(now, end) + " ago"
	default:
		return "ends in " + ago(end, now)
	}
}

// Rotation is how the replacement of the root stands.
func Rotation(r *question.Rotation) string {
	var out strings.Builder
	switch r.Phase {
	case question.RotationSpreading:
		fmt.Fprintf(&out, "a new root %s is told to all; %s signs\n", shortPin(r.Roots[len(r.Roots)-1]), shortPin(r.Active))
	case question.RotationRenewing:
		fmt.Fprintf(&out, "the new root %s signs; all nodes renew their certificates\n", shortPin(r.Active))
	case question.RotationDone:
		fmt.Fprintf(&out, "the old root is dropped; %s is the only one\n", shortPin(r.Active))
	default:
		fmt.Fprintf(&out, "there is one root, %s\n", shortPin(r.Active))
	}
	if r.Left > 0 {
		fmt.Fprintf(&out, "  waiting for %d:\n", r.Left)
	}
	for i, wait := range r.Waiting {
		if i == waitingShown {
			fmt.Fprint(&out, "    …\n")
			break
		}
		fmt.Fprintf(&out, "    %s: %s\n", wait.Node, firstLine(wait.Reason))
	}
	return out.String()
}

// waitingShown is how many nodes that are waited for are listed.
const waitingShown = 5
