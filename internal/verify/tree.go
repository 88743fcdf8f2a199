package verify

import (
	"slices"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// Bounds of what is called short-lived.
const (
	longestLeaf  = 7 * 24 * time.Hour
	longestToken = 24 * time.Hour
	mostUses     = 10
)

// Tree examines the processes by the answer to KindOverview: that each has an identity and believes those of its
// neighbours, that each parent has seen its children's certificates, and how old certificates are.
func (r *Report) Tree(top *question.Node, now time.Time) {
	r.node(top, question.Path{}, now)
}

func (r *Report) node(n *question.Node, at question.Path, now time.Time) {
	subject := at.String()
	switch {
	case n.Unanswered != "":
		r.Skip(CheckIdentity, subject, n.Unanswered)
	case n.Overview == nil:
		r.Skip(CheckIdentity, subject, "it told nothing of itself")
	default:
		r.process(subject, n.Overview.Identity, now)
		r.sessions(subject, n.Overview.Sessions)
		for _, replica := range n.Overview.Replicas {
			if len(n.Overview.Replicas) > 1 {
				r.process(subject+" replica "+replica.ID, replica.Identity, now)
			}
		}
	}
	if n.Omitted != "" {
		r.Skip(CheckIdentity, subject, n.Omitted)
	}
	for i := range n.Children {
		child := &n.Children[i]
		r.hop(n, child, at.To(child).String())
		r.node(child, at.To(child), now)
	}
}

func (r *Report) process(subject string, id *question.Identity, now time.Time) {
	r.examined(CheckIdentity)
	if id == nil {
		r.add(Critical, CheckIdentity, subject, "it shows no identity, so its sessions are not known to be mutual TLS")
		return
	}
	r.certificate(subject, id, now)
	r.examined(CheckRoot)
	if !slices.Contains(id.Believes, id.Root) {
		r.add(Critical, CheckRoot, subject, "its certificate is under %s, which it does not believe itself", id.Root)
	}
	if len(id.Believes) > 1 {
		r.add(Info, CheckRoot, subject, "it believes %d roots; finish the rotation with `meridian authority rotate`", len(id.Believes))
	}
}

// sessions examines whether every child that is connected has shown a certificate.
func (r *Report) sessions(subject string, sessions []question.Session) {
	for _, s := range sessions {
		if !s.Connected {
			continue
		}
		r.examined(CheckIdentity)
		if s.Serial == "" {
			r.add(Critical, CheckIdentity, subject, "its session with %s is with somebody who has shown no certificate", s.Peer)
		}
	}
}

// hop examines whether the two ends of a session believe each other.
func (r *Report) hop(parent, child *question.Node, subject string) {
	if parent.Overview == nil || child.Overview == nil || parent.Overview.Identity == nil || child.Overview.Identity == nil {
		return // told by process
	}
	r.examined(CheckIdentity)
	up, down := parent.Overview.Identity, child.Overview.Identity
	if !slices.Contains(up.Believes, down.Root) {
		r.add(Critical, CheckIdentity, subject, "its parent does not believe the root of its certificate, and will refuse its next connection")
	}
	if !slices.Contains(down.Believes, up.Root) {
		r.add(Critical, CheckIdentity, subject, "it does not believe the root of its parent's certificate, and will refuse its next connection")
	}
}

func (r *Report) certificate(subject string, id *question.Identity, now time.Time) {
	r.examined(CheckCertificate)
	life, left := id.Expires.Sub(id.Issued), id.Expires.Sub(now)
	switch {
	case left <= 0:
		r.add(Critical, CheckCertificate, subject, "its certificate has ended %s ago; if it cannot renew it, enrol it anew with `meridian token create`, --replica for a tier's process and --replace for an agent", round(-left))
	case !id.Issued.IsZero() && left < life/5:
		r.add(Warning, CheckCertificate, subject, "its certificate ends in %s, of a life of %s; renewal is overdue", round(left), round(life))
	}
	if !id.Issued.IsZero() && life > longestLeaf {
		r.add(Warning, CheckCertificate, subject, "its certificate lives for %s; one that is stolen should not serve for more than %s", round(life), round(longestLeaf))
	}
	if id.AuthorityExpires.IsZero() {
		return
	}
	if left := id.AuthorityExpires.Sub(now); left <= 0 {
		r.add(Critical, CheckCertificate, subject, "the certificate that it issues its children's by has ended %s ago", round(-left))
	} else if left < life {
		r.add(Warning, CheckCertificate, subject, "the certificate that it issues its children's by ends in %s, before theirs would", round(left))
	}
}

// Tokens examines the tokens with which newcomers enrol, by the answer to KindTokenList.
func (r *Report) Tokens(tokens []question.Token, now time.Time) {
	for _, t := range tokens {
		r.examined(CheckToken)
		if !t.Expires.After(now) || t.Used >= t.Uses {
			continue
		}
		subject := t.ID + " for " + t.Target.String()
		if life := t.Expires.Sub(t.Created); life > longestToken {
			r.add(Warning, CheckToken, subject, "it counts for %s; make tokens when they are needed, for an hour", round(life))
		}
		if t.Uses > mostUses {
			r.add(Warning, CheckToken, subject, "%d processes may enrol with it; make one for each", t.Uses)
		}
		if t.Mode != question.TokenNew {
			r.add(Info, CheckToken, subject, "who has it can enrol as a place that is enrolled already (%s)", t.Mode)
		}
	}
}

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Minute)
	}
	return d.Round(time.Second)
}
