package clusteragent

import "time"

const (
	// locateWindow is how often at most the zone is told of one application. What comes after a quiet time is told at once.
	locateWindow = time.Second
	// wobbleWindow is how long a change may wait that hardly matters.
	wobbleWindow = 10 * time.Second
)

// pace says when what changed of an application is told. The zero pace has told nothing yet.
type pace struct {
	told time.Time // when something was told last
	// since is when what is to be told began to differ from what was; zero while it does not.
	since time.Time
}

// due is when a change that is there now is to be told; zero is never, as nothing differs any more.
func (p *pace) due(now time.Time, differs, matters bool) time.Time {
	if !differs {
		p.since = time.Time{}
		return time.Time{}
	}
	if p.since.IsZero() {
		p.since = now
	}
	due := now
	if at := p.told.Add(locateWindow); !p.told.IsZero() && at.After(due) {
		due = at
	}
	if at := p.since.Add(wobbleWindow); !matters && at.After(due) {
		due = at
	}
	return due
}

// spoke notes that all was told.
func (p *pace) spoke(now time.Time) { *p = pace{told: now} }

// wobbles tells whether a count changed so little that it may wait: by less than a tenth, and neither from zero nor to it.
func wobbles(was, is int32) bool {
	return was > 0 && is > 0 && 10*max(was-is, is-was) < was
}
