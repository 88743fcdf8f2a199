// Package feedgrpc runs feed sessions over gRPC: a server for parents, and Run for children, which dial out and come
// back by themselves. It owns the goroutines, the clock and the wire form; what a session does is decided in feed.
//
// A child has one session: a newcomer of the same identity ends the earlier one and waits until its last batch is
// applied, so that a Ledger never serves two. All tiers and the cluster agent may import it; it imports feed and
// feedpb, and knows no tier.
package feedgrpc
