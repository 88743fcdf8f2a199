// Package feedgrpc runs feed sessions over gRPC: a server for parents, and Run for children, which dial out and come
// back by themselves. It owns the goroutines, the clock and the wire form; what a session does is decided in feed.
//
// A child has one session: a newcomer of the same identity ends the earlier one and waits until its last batch is
// applied, so that a Ledger never serves two. Children that come at once are admitted at a bounded rate (Admission). A
// child whose parent is gone knocks at every other address that it knows at once, and then with growing pauses (route).
//
// What a peer can cost is bounded, however slow, deaf or greedy it is: its Outbox's keys and a window of batches while
// it takes nothing, maxOwed messages of what it asked for, maxAnswers of its questions at work. One that goes beyond,
// or whose transport accepts nothing for takePatience, has its session ended. Nobody else's is touched.
//
// All tiers and the cluster agent may import it; it imports feed and
// feedpb, and knows no tier.
package feedgrpc
