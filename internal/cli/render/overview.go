package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/question"
)

// heldShown is how many held removals of one node are listed.
const heldShown = 5

// Overview writes the tree itself: sessions, stores and leaders, the replicas of zones that have several, then what is
// refused and held back, with the command that confirms it.
func Overview(w io.Writer, top *question.Node, now time.Time) error {
	rows := [][]string{{"NODE", "SESSION", "APPLICATIONS", "CLUSTERS", "NODES", "STORE", "LEADER"}}
	var replicas, refused, held [][]string
	for _, b := range lines(top) {
		rows = append(rows, append([]string{b.label, session(b, now)}, overviewCells(b.node)...))
		if o := b.node.Overview; o != nil {
			replicas = append(replicas, replicaRows(b, o)...)
			refused = append(refused, refusals(b, o, now)...)
			held = append(held, heldRows(b, o, now)...)
		}
	}
	if err := columns(w, rows); err != nil {
		return err
	}
	if err := section(w, "REPLICAS", replicas); err != nil {
		return err
	}
	if err := section(w, "REFUSED (nothing is changed until its cause goes away or a person confirms)", refused); err != nil {
		return err
	}
	if err := section(w, "REMOVALS HELD BACK", held); err != nil {
		return err
	}
	return notes(w, top)
}

// session is how the node's session with its parent stands, in the parent's words.
func session(b branch, now time.Time) string {
	if b.parent == nil {
		return "-"
	}
	if b.parent.Overview != nil {
		for _, s := range b.parent.Overview.Sessions {
			if is(s.Peer, b.node) {
				return sessionText(s, b.node, now)
			}
		}
	}
	if b.node.Unanswered != "" {
		return firstLine(b.node.Unanswered)
	}
	return "-"
}

// is tells whether a session's peer, a path or its end (TIER/NAME), is the node.
func is(peer string, n *question.Node) bool {
	return peer == n.Name || strings.HasSuffix("/"+peer, "/"+string(n.Tier)+"/"+n.Name)
}

func sessionText(s question.Session, child *question.Node, now time.Time) string {
	switch {
	case !s.Connected && s.Since.IsZero():
		return "never connected"
	case !s.Connected:
		return "lost " + ago(now, s.Since) + " ago"
	case child.Unanswered != "":
		return "connected; " + firstLine(child.Unanswered)
	case s.Refused != nil:
		return "refused: " + s.Refused.Kind
	case s.InSync:
		return "in sync"
	default:
		return fmt.Sprintf("%d pending", s.Pending)
	}
}

func overviewCells(n *question.Node) []string {
	o := n.Overview
	if o == nil {
		return []string{"?", "?", "?", "?", "?"}
	}
	store := "-"
	if o.Epoch != "" {
		store = fmt.Sprintf("%s@%d", o.Epoch[:min(len(o.Epoch), 6)], o.Revision)
	}
	clusters := fmt.Sprint(o.Clusters)
	if n.Tier == question.TierCluster {
		clusters = "-"
	}
	return []string{fmt.Sprint(o.Applications), clusters, fmt.Sprint(o.Nodes), store, dash(o.Leader)}
}

// replicaRows are the replicas of a zone; one that is alone is named as the leader already.
func replicaRows(b branch, o *question.Overview) [][]string {
	if len(o.Replicas) < 2 {
		return nil
	}
	var rows [][]string
	for _, r := range o.Replicas {
		rows = append(rows, []string{b.path.String(), r.ID, r.Address, clusters(r.Clusters), replicaState(r, o.Leader)})
	}
	return rows
}

func clusters(n int) string {
	if n == 1 {
		return "1 cluster"
	}
	return fmt.Sprintf("%d clusters", n)
}

func replicaState(r question.Replica, leader string) string {
	var state []string
	if r.ID == leader {
		state = append(state, "leads")
	}
	if r.Leaving {
		state = append(state, "is ending")
	}
	if !r.Connected {
		state = append(state, "not connected to the leader")
	}
	return strings.Join(state, ", ")
}

func refusals(b branch, o *question.Overview, now time.Time) [][]string {
	var rows [][]string
	for _, r := range o.Refusals {
		rows = append(rows, []string{
			b.path.String(), r.Kind, ago(now, r.Since), firstLine(r.Reason), confirmHint(b.path, r.Kind),
		})
	}
	return rows
}

// confirmHint is the command that accepts what is refused. A fence is never confirmed: the older owner must go.
func confirmHint(p question.Path, what string) string {
	for _, w := range question.Whats() {
		if w == what {
			return "meridian confirm " + p.String() + " --what " + what
		}
	}
	return ""
}

func heldRows(b branch, o *question.Overview, now time.Time) [][]string {
	if o.Held == nil || o.Held.Total == 0 {
		return nil
	}
	rows := [][]string{{b.path.String(), fmt.Sprintf("%d held", o.Held.Total), confirmHint(b.path, question.WhatRemovals)}}
	for i, h := range o.Held.Removals {
		if i == heldShown {
			rows = append(rows, []string{"  …"})
			break
		}
		rows = append(rows, []string{"  " + h.Key, h.Cause, ago(now, h.Since)})
	}
	return rows
}
