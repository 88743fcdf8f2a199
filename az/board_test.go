package az

import (
	"testing"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/record"
)

// TestBoardWaitsForAgents shows what is told of a cluster that has just been taken over: nothing before its agent has told
// all, or has had its time for it.
func TestBoardWaitsForAgents(t *testing.T) {
	b := newBoard("a", "west", time.Minute)
	fence := feed.Fence{Epoch: 1, Fence: 7}
	b.add("late", fence)
	b.add("prompt", fence)
	told := func(cluster string) bool {
		_, ok := b.outbox.Get(record.StandingKey(cluster, ""))
		return ok
	}
	due := b.age(time.Now())
	b.session("late", true)
	b.session("prompt", true)
	b.state("prompt", feed.Status{InSync: true})
	if told("prompt") || told("late") || due.IsZero() {
		t.Fatalf("before the agents have told all: prompt, late are told of: %v, %v, looked at again at %v; want neither, and a time",
			told("prompt"), told("late"), due)
	}
	b.state("prompt", feed.Status{InSync: true, Heard: true})
	later := b.age(due)
	if !told("prompt") || told("late") || !later.After(due) {
		t.Errorf("one agent has told all, the other has come late: told of: %v, %v, again at %v; want the first alone, and later than %v",
			told("prompt"), told("late"), later, due)
	}
	if again := b.age(later.Add(time.Minute)); !told("late") || !again.IsZero() {
		t.Errorf("its time is over: late is told of: %v, and looked at again at %v; want true, never", told("late"), again)
	}
}

// TestBoardTellsWhoLeads changes leaders: what this replica knows goes to its own sums while it leads, else to its outbox.
// That is the same from beginning to end, since a session may go on with it.
func TestBoardTellsWhoLeads(t *testing.T) {
	l := newLeader(t)
	b := newBoard("a", "west", time.Minute)
	outbox := b.outbox
	b.add("c1", feed.Fence{Epoch: 1, Fence: 7})
	b.session("c1", true)
	b.state("c1", feed.Status{InSync: true, Heard: true})
	if outbox.Len() != 1 || l.connected("c1") {
		t.Fatalf("another leads: %d standings in the outbox, c1 in the sums: %v; want 1, false", outbox.Len(), l.connected("c1"))
	}
	b.lead(l.sums)
	if outbox.Len() != 0 || !l.connected("c1") {
		t.Errorf("this one leads: %d standings in the outbox, c1 in the sums: %v; want 0, true", outbox.Len(), l.connected("c1"))
	}
	b.lead(nil)
	if outbox.Len() != 1 {
		t.Errorf("another leads again: %d standings in the outbox, want 1", outbox.Len())
	}
	b.release("c1")
	if outbox.Len() != 0 {
		t.Errorf("c1 is another's: %d standings in the outbox, want 0", outbox.Len())
	}
}
